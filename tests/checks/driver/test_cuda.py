from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.driver.cuda import cuda_matrix
from dynocheck.data import images
from dynocheck.facts import Node, Nodes
from tests.checks.gpu import CPU, NO_SLICES, PRESENT, offer, recipe_of
from tests.checks.judging import get_coverage, get_skip_reason, judge, outcomes, places, run_check

H200, L40S, GEFORCE = "NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-GeForce-RTX-4090"


def node(version: str, product: str = H200, name: str = "a", **labels: str) -> Node:
    driver = {"nvidia.com/cuda.driver-version.full": version} if version else {}
    return Node(name, labels={**PRESENT, "nvidia.com/gpu.product": product, **driver, **labels})


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
        ("580.65.06", H200, "vllm-runtime:my-build", ["unjudged"]),
        ("580.65.06", H200, "vllm-runtime:9.9.9", ["unjudged"]),
        ("580.65.06", H200, "registry.example/own:1", ["unjudged"]),
        # what holds for every release that an image may be of
        ("580.65.06", H200, "vllm-runtime:1.4.0-kimi-k3-dev.1", []),
        ("560.35.03", H200, "vllm-runtime:1.5.0-dev.1", ["fail"]),
        ("450.80.02", H200, "vllm-runtime:my-build", ["fail"]),
        ("450.80.02", H200, "registry.example/own:1", ["unjudged"]),
    ],
)
def test_images_on_nodes(tmp_path: Path, version: str, product: str, image: str, expected: list[str]) -> None:
    recipe = recipe_of(tmp_path, image=image)
    assert judge(cuda_matrix, Nodes((node(version, product),)), NO_SLICES, recipe) == expected


def test_finding_names_what_would_run(tmp_path: Path) -> None:
    nodes, recipe = Nodes((node("575.57.08", GEFORCE),)), recipe_of(tmp_path, image="vllm-runtime:1.3.0")
    (finding,) = run_check(cuda_matrix, nodes, NO_SLICES, recipe)
    assert finding.fix == "upgrade the driver to branch 580, or take an image of 1.2.1"
    assert finding.evidence.pop("source").startswith("https://")
    assert finding.evidence == {"driver": "575.57.08", "wanted": 580, "cuda": "13.0"}
    assert finding.location is not None


NEWER = {"matchExpressions": [{"key": "pool", "operator": "NotIn", "values": ["new"]}]}
REQUIRED = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [NEWER]}}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"nodeSelector": {"pool": "new"}}, []),
        ({"affinity": {"nodeAffinity": REQUIRED}}, [("fail", "Node b")]),
        ({"nodeSelector": {"pool": "none"}}, [("skip", "")]),
    ],
)
def test_nodes_of_a_worker(tmp_path: Path, pod: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    nodes = Nodes((node("580.65.06", name="a", pool="new"), node("560.35.03", name="b", pool="old")))
    recipe = recipe_of(tmp_path, image="vllm-runtime:1.3.0", pod=pod)
    assert places(cuda_matrix, nodes, NO_SLICES, recipe) == expected


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
    assert outcomes(cuda_matrix, Nodes((node(version, product),)), NO_SLICES, None) == expected


def test_newest_release_that_a_driver_runs() -> None:
    (finding,) = run_check(cuda_matrix, Nodes((node("575.57.08"),)), NO_SLICES, None)
    assert finding.fix == "upgrade the driver to branch 580, or stay with images of 1.2.1"


def test_node_without_a_driver_label() -> None:
    assert judge(cuda_matrix, Nodes((CPU,)), NO_SLICES, None) == ["skip"]
    assert judge(cuda_matrix, Nodes((node(""),)), NO_SLICES, None) == ["unjudged"]
    both = Nodes((node("580.65.06"), node("", name="b")))
    assert get_coverage(cuda_matrix, both, NO_SLICES, None) == (1, ["Node b"])


def test_drivers_that_the_provider_installs() -> None:
    gke = node("", name="a", **{"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"})
    auto, hybrid = (
        node("", name=mode, **{"eks.amazonaws.com/compute-type": mode}) for mode in ("auto", "hybrid")
    )
    assert "provider" in get_skip_reason(cuda_matrix, Nodes((gke, auto)), NO_SLICES, None)
    assert judge(cuda_matrix, Nodes((gke, hybrid)), NO_SLICES, None) == ["unjudged"]


def test_driver_of_the_dra_driver() -> None:
    slices = offer(productName="NVIDIA H200", driverVersion="575.57.8")
    (finding,) = run_check(cuda_matrix, Nodes((Node("a"),)), slices, None)
    assert (finding.outcome, finding.evidence["driver"]) == ("warn", "575.57.8")


def test_every_row_has_its_source_and_its_toolkit() -> None:
    for row in images.engine_images():
        assert row.source.startswith("https://"), row
        toolkit = images.cuda_toolkit(row.cuda)
        assert toolkit is not None, row.cuda
        assert toolkit.source.startswith("https://")
        assert row.driver > toolkit.minor or row.cuda.startswith("13.")
        assert row.tag.startswith(row.release)
