from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.driver import cuda
from dynocheck.data import images
from dynocheck.facts import Node, Nodes, Recipes, ResourceSlice, ResourceSlices
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

NO_SLICES = ResourceSlices(served=False)
H200, L40S, GEFORCE = "NVIDIA-H200", "NVIDIA-L40S", "NVIDIA-GeForce-RTX-4090"


def node(version: str, product: str = H200, name: str = "a", **labels: str) -> Node:
    given = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": product, **labels}
    if version:
        given["nvidia.com/cuda.driver-version.full"] = version
    return Node(name, labels=given)


def using(folder: Path, image: str, more: str = "") -> Recipes:
    text = GRAPH + FRONTEND + worker().replace("registry.example/vllm-runtime:1.3.0", image)
    return recipes(folder, deploy=text.replace("      spec:\n", f"      spec:\n{more}"))


@pytest.mark.parametrize(
    ("version", "product", "image", "outcomes"),
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
    tmp_path: Path, version: str, product: str, image: str, outcomes: list[str]
) -> None:
    nodes = Nodes((node(version, product),))
    given = list_messages(cuda.cuda_matrix, nodes, NO_SLICES, using(tmp_path, image))
    assert [outcome for outcome, _ in given] == outcomes, given


def test_the_finding_says_what_would_run(tmp_path: Path) -> None:
    nodes = Nodes((node("575.57.08", GEFORCE),))
    (finding,) = run_check(cuda.cuda_matrix, nodes, NO_SLICES, using(tmp_path, "vllm-runtime:1.3.0"))
    assert finding.message == (
        "its driver 575.57.08 is older than 580, which vllm-runtime:1.3.0 asks for (CUDA 13.0)"
    )
    assert finding.fix == "upgrade the driver to branch 580, or take an image of 1.2.1"
    assert finding.evidence["source"].startswith("https://")
    assert finding.location is not None


def test_only_nodes_that_a_worker_may_run_on_are_judged(tmp_path: Path) -> None:
    nodes = Nodes((node("580.65.06", name="a", pool="new"), node("560.35.03", name="b", pool="old")))
    pinned = using(tmp_path / "a", "vllm-runtime:1.3.0", "        nodeSelector: {pool: new}\n")
    assert list_messages(cuda.cuda_matrix, nodes, NO_SLICES, pinned) == []
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    terms = "{nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: NotIn, values: [new]}]}]}"
    affine = f"        affinity: {{nodeAffinity: {{{required}: {terms}}}}}\n"
    (finding,) = run_check(
        cuda.cuda_matrix, nodes, NO_SLICES, using(tmp_path / "b", "vllm-runtime:1.3.0", affine)
    )
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("fail", "b")


def test_workers_that_find_no_node_are_not_judged(tmp_path: Path) -> None:
    given = using(tmp_path, "vllm-runtime:1.3.0", "        nodeSelector: {pool: none}\n")
    assert get_skip_reason(cuda.cuda_matrix, Nodes((node("560.35.03"),)), NO_SLICES, given)


@pytest.mark.parametrize(
    ("version", "product", "outcomes"),
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
def test_without_a_recipe(version: str, product: str, outcomes: list[str]) -> None:
    given = list_messages(cuda.cuda_matrix, Nodes((node(version, product),)), NO_SLICES, None)
    assert [outcome for outcome, _ in given] == outcomes, given


def test_the_newest_release_that_a_driver_runs() -> None:
    ((_, message),) = list_messages(cuda.cuda_matrix, Nodes((node("575.57.08"),)), NO_SLICES, None)
    assert message == "its driver 575.57.08 runs Dynamo up to 1.2.1; 1.6.0 asks for 580"


def test_a_node_that_tells_no_driver() -> None:
    assert "no GPU node tells its driver" in get_skip_reason(
        cuda.cuda_matrix, Nodes((node(""),)), NO_SLICES, None
    )
    both = Nodes((node("580.65.06"), node("", name="b")))
    (finding,) = run_check(cuda.cuda_matrix, both, NO_SLICES, None)
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("warn", "b")
    assert get_skip_reason(cuda.cuda_matrix, Nodes((Node("cpu"),)), NO_SLICES, None)


def test_the_dra_driver_tells_it_too() -> None:
    told = {"productName": "NVIDIA H200", "driverVersion": "575.57.8"}
    slices = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "a", 8, told),))
    ((outcome, message),) = list_messages(cuda.cuda_matrix, Nodes((Node("a"),)), slices, None)
    assert outcome == "warn"
    assert "575.57.8 runs Dynamo up to 1.2.1" in message


def test_every_row_has_its_source_and_its_toolkit() -> None:
    for row in images.engine_images():
        assert row.source.startswith("https://"), row
        toolkit = images.cuda_toolkit(row.cuda)
        assert toolkit is not None, row.cuda
        assert toolkit.source.startswith("https://")
        assert row.driver > toolkit.minor or row.cuda.startswith("13.")
        assert row.tag.startswith(row.release)
