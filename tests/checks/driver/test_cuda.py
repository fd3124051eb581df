from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.driver import cuda
from dynocheck.data import images
from dynocheck.facts import Node, Nodes, Recipes, ResourceSlice, ResourceSlices
from tests.checks.judging import get_skip_reason, outcomes, places, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph

NO_SLICES = ResourceSlices(served=False)
H200, L40S, GEFORCE = "NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-GeForce-RTX-4090"


def node(version: str, product: str = H200, name: str = "a", **labels: str) -> Node:
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": product, **labels}
    if version:
        labels["nvidia.com/cuda.driver-version.full"] = version
    return Node(name, labels=labels)


def using(folder: Path, image: str, **pod: Any) -> Recipes:
    return recipes(folder, deploy=dump_objects(graph(engine(image=image, pod=pod))))


@pytest.mark.parametrize(
    ("version", "product", "image", "expected"),
    [
        ("580.65.06", H200, "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.3.0", []),
        ("590.44.01", H200, "vllm-runtime:1.6.0", []),
        ("575.57.08", H200, "sglang-runtime:1.6.0", ["warn"]),
        ("575.57.08", H200, "tensorrtllm-runtime:1.5.0", ["warn"]),
        ("575.57.08", H200, "vllm-runtime:1.3.0", ["warn"]),
        ("575.57.08", GEFORCE, "vllm-runtime:1.3.0", ["fail"]),
        ("575.57.08", "NVIDIA-New-Thing", "vllm-runtime:1.3.0", ["warn"]),
        ("560.35.03", H200, "vllm-runtime:1.3.0", ["fail"]),
        ("575.57.08", H200, "vllm-runtime:1.2.1", []),
        ("575.57.08", H200, "vllm-runtime:1.2.1-cuda13", ["warn"]),
        ("570.86.15", H200, "vllm-runtime:1.2.1", ["warn"]),
        ("570.86.15", GEFORCE, "vllm-runtime:1.2.1", ["warn"]),
        ("470.82.01", H200, "vllm-runtime:1.2.1", ["fail"]),
        ("575.57.08", H200, "tensorrtllm-runtime:0.8.1.post2", ["warn"]),
        ("575.57.08", H200, "mirror.example:5000/dynamo/sglang-runtime:1.1.1@sha256:0", []),
        ("580.65.06", H200, "nvcr.io/nvidia/ai-dynamo/vllm-runtime-enterprise:1.4.2", []),
        ("450.80.02", H200, "dynamo-frontend:1.3.0", []),
        ("580.65.06", H200, "vllm-runtime:my-build", ["warn"]),
        ("580.65.06", H200, "vllm-runtime:9.9.9", ["warn"]),
        ("580.65.06", H200, "registry.example/own:1", ["warn"]),
    ],
)
def test_image_against_driver(
    tmp_path: Path, version: str, product: str, image: str, expected: list[str]
) -> None:
    nodes = Nodes((node(version, product),))
    assert outcomes(cuda.cuda_matrix, nodes, NO_SLICES, using(tmp_path, image)) == expected


def test_finding_names_what_would_run(tmp_path: Path) -> None:
    nodes = Nodes((node("575.57.08", GEFORCE),))
    (finding,) = run_check(cuda.cuda_matrix, nodes, NO_SLICES, using(tmp_path, "vllm-runtime:1.3.0"))
    assert finding.fix == "upgrade the driver to branch 580, or take an image of 1.2.1"
    source = finding.evidence.pop("source")
    assert source.startswith("https://")
    assert finding.evidence == {"driver": "575.57.08", "wanted": 580, "cuda": "13.0"}
    assert finding.location is not None


def test_only_nodes_that_a_worker_may_run_on_are_checked(tmp_path: Path) -> None:
    nodes = Nodes((node("580.65.06", name="a", pool="new"), node("560.35.03", name="b", pool="old")))
    pinned = using(tmp_path / "a", "vllm-runtime:1.3.0", nodeSelector={"pool": "new"})
    assert outcomes(cuda.cuda_matrix, nodes, NO_SLICES, pinned) == []
    terms = [{"matchExpressions": [{"key": "pool", "operator": "NotIn", "values": ["new"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    affine = using(tmp_path / "b", "vllm-runtime:1.3.0", affinity={"nodeAffinity": required})
    assert places(cuda.cuda_matrix, nodes, NO_SLICES, affine) == [("fail", "Node b")]
    nowhere = using(tmp_path / "c", "vllm-runtime:1.3.0", nodeSelector={"pool": "none"})
    assert get_skip_reason(cuda.cuda_matrix, nodes, NO_SLICES, nowhere)


@pytest.mark.parametrize(
    ("version", "product", "expected"),
    [
        ("580.65.06", H200, []),
        ("575.57.08", H200, ["warn"]),
        ("570.86.15", H200, ["warn"]),
        ("560.35.03", H200, ["warn"]),
        ("535.54.03", H200, ["warn"]),
        ("470.82.01", L40S, ["warn"]),
        ("470.82.01", GEFORCE, ["fail"]),
        ("450.80.02", H200, ["fail"]),
    ],
)
def test_without_a_recipe(version: str, product: str, expected: list[str]) -> None:
    assert outcomes(cuda.cuda_matrix, Nodes((node(version, product),)), NO_SLICES, None) == expected


def test_newest_release_that_a_driver_runs() -> None:
    (finding,) = run_check(cuda.cuda_matrix, Nodes((node("575.57.08"),)), NO_SLICES, None)
    assert finding.fix == "upgrade the driver to branch 580, or stay with images of 1.2.1"


def test_node_without_a_driver_label() -> None:
    for nodes in (Nodes((node(""),)), Nodes((Node("cpu"),))):
        assert get_skip_reason(cuda.cuda_matrix, nodes, NO_SLICES, None)
    both = Nodes((node("580.65.06"), node("", name="b")))
    assert places(cuda.cuda_matrix, both, NO_SLICES, None) == [("warn", "Node b")]


def test_driver_of_the_dra_driver() -> None:
    attributes = {"productName": "NVIDIA H200", "driverVersion": "575.57.8"}
    slices = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "a", 8, attributes),))
    (finding,) = run_check(cuda.cuda_matrix, Nodes((Node("a"),)), slices, None)
    assert (str(finding.outcome), finding.evidence["driver"]) == ("warn", "575.57.8")


def test_every_row_has_its_source_and_its_toolkit() -> None:
    for row in images.engine_images():
        assert row.source.startswith("https://"), row
        toolkit = images.cuda_toolkit(row.cuda)
        assert toolkit is not None, row.cuda
        assert toolkit.source.startswith("https://")
        assert row.driver > toolkit.minor or row.cuda.startswith("13.")
        assert row.tag.startswith(row.release)
