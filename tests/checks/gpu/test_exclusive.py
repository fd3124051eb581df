from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.gpu import exclusive
from dynocheck.facts import Node, Nodes, ResourceSlices
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

NO_SLICES = ResourceSlices(served=False)
SLICED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
ON_GKE = {
    "cloud.google.com/gke-gpu-sharing-strategy": "mps",
    "cloud.google.com/gke-max-shared-clients-per-gpu": "2",
}
WHOLE = {"nvidia.com/gpu.sharing-strategy": "none", "nvidia.com/gpu.replicas": "1"}


def node(name: str, labels: dict[str, str], resource: str = "nvidia.com/gpu") -> Node:
    return Node(name, labels=labels, allocatable={resource: "8"}, capacity={resource: "8"})


def test_whole_gpus_are_not_shared() -> None:
    for labels in ({}, WHOLE, {"nvidia.com/gpu.replicas": "2"}):
        assert get_skip_reason(exclusive.sharing, Nodes((node("a", labels),)), NO_SLICES, None)
    renamed = node("a", SLICED, "nvidia.com/gpu.shared")
    assert get_skip_reason(exclusive.sharing, Nodes((renamed,)), NO_SLICES, None), (
        "nobody takes them by accident"
    )


@pytest.mark.parametrize(
    ("labels", "says"),
    [(SLICED, "each GPU 4 times (time-slicing)"), (ON_GKE, "each GPU 2 times (mps)")],
)
def test_a_node_that_shares_its_gpus(labels: dict[str, str], says: str) -> None:
    (finding,) = run_check(exclusive.sharing, Nodes((node("a", labels), node("b", WHOLE))), NO_SLICES, None)
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("warn", "a")
    assert says in finding.message


def test_a_worker_that_needs_several_needs_whole_ones(tmp_path: Path) -> None:
    shared, whole = node("a", {**SLICED, "pool": "dev"}), node("b", WHOLE)
    many = recipes(tmp_path / "many", deploy=GRAPH + FRONTEND + worker(gpus='"4"'))
    one = recipes(tmp_path / "one", deploy=GRAPH + FRONTEND + worker(gpus='"1"'))
    bound = worker(gpus='"4"').replace("      spec:\n", "      spec:\n        nodeSelector: {pool: dev}\n")
    sent = recipes(tmp_path / "sent", deploy=GRAPH + bound)
    for given, nodes, outcomes in [
        (many, (shared,), ["warn", "fail"]),
        (many, (shared, whole), ["warn"]),
        (one, (shared,), ["warn"]),
        (sent, (shared, whole), ["warn", "fail"]),
    ]:
        judged = list_messages(exclusive.sharing, Nodes(nodes), NO_SLICES, given)
        assert [outcome for outcome, _ in judged] == outcomes
