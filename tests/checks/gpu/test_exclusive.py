from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gpu import exclusive
from dynocheck.facts import Node, Nodes
from tests.checks.gpu import NO_SLICES, WHOLE, holding, recipe_of
from tests.checks.judging import outcomes, places

SLICED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
GKE = "cloud.google.com/gke-"
ON_GKE = {f"{GKE}gpu-sharing-strategy": "mps", f"{GKE}max-shared-clients-per-gpu": "2"}
UNSHARED = {"nvidia.com/gpu.sharing-strategy": "none", "nvidia.com/gpu.replicas": "1"}


@pytest.mark.parametrize(
    "unshared",
    [
        holding("a", WHOLE),
        holding("a", WHOLE, labels=UNSHARED),
        holding("a", WHOLE, labels={"nvidia.com/gpu.replicas": "2"}),
        holding("a", {"nvidia.com/gpu.shared": "8"}, labels=SLICED),  # no pod requests it by accident
    ],
)
def test_whole_gpus_are_not_shared(unshared: Node) -> None:
    assert outcomes(exclusive.sharing, Nodes((unshared,)), NO_SLICES, None) == ["skip"]


@pytest.mark.parametrize("labels", [SLICED, ON_GKE])
def test_a_node_that_shares_its_gpus(labels: dict[str, str]) -> None:
    nodes = Nodes((holding("a", WHOLE, labels=labels), holding("b", WHOLE, labels=UNSHARED)))
    assert places(exclusive.sharing, nodes, NO_SLICES, None) == [("warn", "Node a")]


@pytest.mark.parametrize(
    ("gpus", "pod", "pools", "expected"),
    [
        (4, {}, 1, ["warn", "fail"]),
        (4, {}, 2, ["warn"]),
        (1, {}, 1, ["warn"]),
        (4, {"nodeSelector": {"pool": "dev"}}, 2, ["warn", "fail"]),
    ],
)
def test_whole_gpus(tmp_path: Path, gpus: int, pod: dict[str, Any], pools: int, expected: list[str]) -> None:
    shared = holding("a", WHOLE, labels={**SLICED, "pool": "dev"})
    nodes = Nodes((shared, holding("b", WHOLE, labels=UNSHARED))[:pools])
    assert outcomes(exclusive.sharing, nodes, NO_SLICES, recipe_of(tmp_path, gpus=gpus, pod=pod)) == expected
