from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.storage import topology
from dynocheck.facts import (
    Autoscalers,
    CsiDrivers,
    Node,
    Nodes,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    PersistentVolumes,
    ResourceSlices,
    RunningPod,
    RunningPods,
)
from tests.checks.judging import GRAPH, outcomes, places, recipes, run_check, worker
from tests.checks.storage.manifests import mounting

ZONE = "topology.kubernetes.io/zone"
CLAIMS = PersistentVolumeClaims((PersistentVolumeClaim(name="cache", phase="Bound", volume="pv"),), "here")


def node(name: str, zone: str, gpus: int = 8) -> Node:
    amounts = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    return Node(name, labels={ZONE: zone}, allocatable=amounts, capacity=amounts)


def disk(*zones: str, claim: str = "here/cache", phase: str = "Bound") -> PersistentVolumes:
    terms = ({"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]},) if zones else ()
    return PersistentVolumes((PersistentVolume(name="pv", phase=phase, claim=claim, node_terms=terms),))


def facts(volumes: PersistentVolumes, *nodes: Node, autoscaler: tuple[str, ...] = ()) -> tuple[Any, ...]:
    return CLAIMS, volumes, Nodes(nodes), ResourceSlices(served=False), Autoscalers(autoscaler)


CPU, GPU = node("cpu", "a", gpus=0), node("gpu", "b")


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (facts(disk("a"), CPU, GPU), ["fail"]),
        (facts(disk("a"), CPU, GPU, autoscaler=("Karpenter",)), ["warn"]),
        (facts(disk("b"), CPU, GPU), []),
        (facts(disk("a", "b"), CPU, GPU), []),
        (facts(disk("a"), CPU, GPU, node("other", "a")), []),
        (facts(disk("a"), CPU), []),  # no node has GPUs
    ],
)
def test_disk_in_another_zone_than_the_gpus(
    tmp_path: Path, cluster: tuple[Any, ...], expected: list[str]
) -> None:
    recipe = recipes(tmp_path, deploy=mounting("cache"))
    found = places(topology.claim_reach, recipe, *cluster)
    assert found == [(outcome, "PersistentVolume pv") for outcome in expected]
    for finding in run_check(topology.claim_reach, recipe, *cluster):
        assert finding.evidence == {"nodes": ["gpu"]}


def test_worker_that_selects_another_zone(tmp_path: Path) -> None:
    recipe = recipes(tmp_path, deploy=mounting("cache", nodeSelector={ZONE: "b"}))
    both = node("one", "a"), node("two", "b")
    assert outcomes(topology.claim_reach, recipe, *facts(disk("a"), *both)) == ["fail"]
    assert outcomes(topology.claim_reach, recipe, *facts(disk("b"), *both)) == []


@pytest.mark.parametrize(
    ("deploy", "volumes"),
    [
        (mounting("cache"), disk()),
        (mounting("cache"), disk("a", claim="other/cache")),
        (mounting("cache"), disk("a", phase="Released")),
        (mounting("cache"), PersistentVolumes()),
        (mounting("cache", namespace="elsewhere"), disk("a")),
        (GRAPH + worker(), disk("a")),
    ],
)
def test_no_volume_with_node_affinity_is_mounted(
    tmp_path: Path, deploy: str, volumes: PersistentVolumes
) -> None:
    recipe = recipes(tmp_path, deploy=deploy)
    assert outcomes(topology.claim_reach, recipe, *facts(volumes, GPU)) == ["skip"]


SINGLE = PersistentVolumeClaim(
    name="cache", phase="Bound", volume="pv", access_modes=("ReadWriteOnce",), storage_class="gp3"
)
ATTACHED = PersistentVolume(name="pv", phase="Bound", claim="here/cache", driver="ebs.csi.aws.com")
HOLDER: dict[str, Any] = {"namespace": "here", "name": "holder", "node": "cpu", "claims": ("cache",)}
OWN = {"nvidia.com/dynamo-graph-deployment-name": "g"}


@pytest.mark.parametrize(
    ("holder", "nodes", "unattached", "expected"),
    [
        (HOLDER, (CPU, GPU), (), ["fail"]),
        (HOLDER | {"node": "gpu"}, (CPU, GPU), (), []),
        (HOLDER | {"node": "gpu"}, (CPU, GPU, node("other", "b")), (), ["warn"]),
        (HOLDER | {"labels": {"batch.kubernetes.io/job-name": "download"}}, (CPU, GPU), (), ["warn"]),
        (HOLDER | {"labels": OWN}, (CPU, GPU), (), []),
        (HOLDER | {"terminating": True}, (CPU, GPU), (), []),
        (HOLDER | {"namespace": "there"}, (CPU, GPU), (), []),
        (HOLDER | {"claims": ("other",)}, (CPU, GPU), (), []),
        (HOLDER, (CPU, GPU), ("ebs.csi.aws.com",), ["skip"]),
    ],
)
def test_a_disk_that_a_pod_elsewhere_holds(
    tmp_path: Path, holder: dict[str, Any], nodes: tuple[Node, ...], unattached: Any, expected: list[str]
) -> None:
    recipe = recipes(tmp_path, deploy=mounting("cache"))
    _, volumes, *rest = facts(PersistentVolumes((ATTACHED,)), *nodes)
    claims = PersistentVolumeClaims((SINGLE,), "here")
    more = CsiDrivers(unattached=unattached), RunningPods((RunningPod(**holder),))
    assert outcomes(topology.claim_reach, recipe, claims, volumes, *rest, *more) == expected
