from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gpu import exclusive
from dynocheck.facts import Node, Nodes, ResourceSlices
from tests.checks.judging import get_skip_reason, outcomes, places, recipes
from tests.checks.manifests import dump_objects, engine, graph

NO_SLICES = ResourceSlices(served=False)
SLICED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
ON_GKE = {
    "cloud.google.com/gke-gpu-sharing-strategy": "mps",
    "cloud.google.com/gke-max-shared-clients-per-gpu": "2",
}
WHOLE = {"nvidia.com/gpu.sharing-strategy": "none", "nvidia.com/gpu.replicas": "1"}


def node(name: str, labels: dict[str, str], resource: str = "nvidia.com/gpu") -> Node:
    return Node(name, labels=labels, allocatable={resource: "8"}, capacity={resource: "8"})


@pytest.mark.parametrize(
    "unshared",
    [
        node("a", {}),
        node("a", WHOLE),
        node("a", {"nvidia.com/gpu.replicas": "2"}),
        node("a", SLICED, "nvidia.com/gpu.shared"),  # a name that no pod requests by accident
    ],
)
def test_whole_gpus_are_not_shared(unshared: Node) -> None:
    assert get_skip_reason(exclusive.sharing, Nodes((unshared,)), NO_SLICES, None)


@pytest.mark.parametrize("labels", [SLICED, ON_GKE])
def test_a_node_that_shares_its_gpus(labels: dict[str, str]) -> None:
    nodes = Nodes((node("a", labels), node("b", WHOLE)))
    assert places(exclusive.sharing, nodes, NO_SLICES, None) == [("warn", "Node a")]


@pytest.mark.parametrize(
    ("gpus", "pod", "pools", "expected"),
    [
        (4, {}, "shared", ["warn", "fail"]),
        (4, {}, "both", ["warn"]),
        (1, {}, "shared", ["warn"]),
        (4, {"nodeSelector": {"pool": "dev"}}, "both", ["warn", "fail"]),
    ],
)
def test_a_worker_of_several_gpus_needs_whole_ones(
    tmp_path: Path, gpus: int, pod: dict[str, Any], pools: str, expected: list[str]
) -> None:
    shared, whole = node("a", {**SLICED, "pool": "dev"}), node("b", WHOLE)
    recipe = recipes(tmp_path, deploy=dump_objects(graph(engine(gpus=gpus, pod=pod))))
    nodes = Nodes((shared, whole) if pools == "both" else (shared,))
    assert outcomes(exclusive.sharing, nodes, NO_SLICES, recipe) == expected
