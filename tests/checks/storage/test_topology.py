from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import topology
from dynocheck.facts import Node, Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.facts.k8s.storage import (
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    PersistentVolumes,
)
from tests.checks.judging import GRAPH, get_skip_reason, list_messages, recipes, run_check, worker
from tests.checks.storage.test_classes import mounting

NO_SLICES = ResourceSlices(served=False)
ZONE = "topology.kubernetes.io/zone"
CLAIMS = PersistentVolumeClaims((PersistentVolumeClaim(name="cache", phase="Bound", volume="pv"),), "here")


def node(name: str, zone: str, gpus: int = 8) -> Node:
    amounts = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return Node(name, labels={ZONE: zone}, allocatable=amounts, capacity=amounts)


def disk(*zones: str, claim: str = "here/cache", phase: str = "Bound") -> PersistentVolumes:
    terms = ({"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]},) if zones else ()
    return PersistentVolumes((PersistentVolume(name="pv", phase=phase, claim=claim, node_terms=terms),))


def facts(volumes: PersistentVolumes, *nodes: Node) -> tuple[Any, ...]:
    return CLAIMS, volumes, Nodes(nodes), NO_SLICES, Autoscalers()


def test_a_disk_in_another_zone_than_the_gpus(tmp_path: Path) -> None:
    mine = recipes(tmp_path, deploy=mounting("cache"))
    nodes = node("cpu", "a", gpus=0), node("gpu", "b")
    (finding,) = run_check(topology.claim_reach, mine, *facts(disk("a"), *nodes))
    assert str(finding.outcome) == "fail"
    assert f"reached from nodes with {ZONE}=a, and none of the 1 nodes that it may use" in finding.message
    growing = *facts(disk("a"), *nodes)[:-1], Autoscalers(("Karpenter",))
    ((outcome, message),) = list_messages(topology.claim_reach, mine, *growing)
    assert (outcome, message.endswith("is one; Karpenter may add one")) == ("warn", True)
    for volumes in (disk("b"), disk("a", "b")):
        assert list_messages(topology.claim_reach, mine, *facts(volumes, *nodes)) == []
    assert list_messages(topology.claim_reach, mine, *facts(disk("a"), *nodes, node("other", "a"))) == []
    assert list_messages(topology.claim_reach, mine, *facts(disk("a"), nodes[0])) == [], (
        "no GPUs are told elsewhere"
    )


def test_a_worker_that_is_bound_to_another_zone(tmp_path: Path) -> None:
    bound = f"      spec:\n        nodeSelector: {{{ZONE}: b}}\n"
    mine = recipes(tmp_path, deploy=mounting("cache").replace("      spec:\n", bound))
    both = node("one", "a"), node("two", "b")
    assert [o for o, _ in list_messages(topology.claim_reach, mine, *facts(disk("a"), *both))] == ["fail"]
    assert list_messages(topology.claim_reach, mine, *facts(disk("b"), *both)) == []


@pytest.mark.parametrize(
    "volumes", [disk(), disk("a", claim="other/cache"), disk("a", phase="Released"), PersistentVolumes()]
)
def test_what_is_reached_from_everywhere_or_is_another_claims(
    tmp_path: Path, volumes: PersistentVolumes
) -> None:
    mine = recipes(tmp_path, deploy=mounting("cache"))
    assert get_skip_reason(topology.claim_reach, mine, *facts(volumes, node("gpu", "b")))


def test_graphs_of_other_namespaces_and_without_claims(tmp_path: Path) -> None:
    elsewhere = mounting("cache").replace("{name: g}", "{name: g, namespace: there}")
    given: list[Recipes] = [recipes(tmp_path / "a", deploy=elsewhere)]
    given.append(recipes(tmp_path / "b", deploy=GRAPH + worker()))
    for mine in given:
        assert get_skip_reason(topology.claim_reach, mine, *facts(disk("a"), node("gpu", "b")))
