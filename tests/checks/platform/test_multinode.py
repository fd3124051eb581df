from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynocheck.checks.platform import dns, multinode
from dynocheck.facts import CustomResourceDefinition, CustomResourceDefinitions, Node, Nodes, Recipes
from dynocheck.facts.k8s.platform import OperatorConfig, OperatorConfigs, ServiceEndpoints
from dynocheck.facts.k8s.workloads import Workload, Workloads
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, run_check, worker
from tests.checks.judging import recipes as written
from tests.checks.platform.test_operators import operator

GROVE = ("podcliquesets.grove.io", "clustertopologybindings.grove.io")
KAI = ("queues.scheduling.run.ai",)
LWS = ("leaderworkersets.leaderworkerset.x-k8s.io",)
VOLCANO = ("podgroups.scheduling.volcano.sh",)
NO_CONFIG = OperatorConfigs()


def defined(*names: str) -> CustomResourceDefinitions:
    return CustomResourceDefinitions(
        tuple(CustomResourceDefinition(n, n.partition(".")[2], ("v1",), established=True) for n in names)
    )


def runs(image: str, *, ready: bool = True, **labels: str) -> Workload:
    named = {"app.kubernetes.io/name": labels["name"]} if labels else {}
    return Workload(
        kind="Deployment", namespace="n", name="d", labels=named, images=(image,), desired=1, ready=int(ready)
    )


def grove(tag: str = "v0.1.0-alpha.10", *, ready: bool = True) -> Workload:
    return runs(f"registry.example/grove-operator:{tag}", ready=ready, name="grove-operator")


@pytest.fixture
def wide(tmp_path: Path) -> Recipes:
    return written(tmp_path, a=GRAPH + FRONTEND + worker(more="multinode: {nodeCount: 2}"))


def judged(
    wide: Recipes, names: tuple[str, ...], *workloads: Workload, configs: OperatorConfigs = NO_CONFIG
) -> list[str]:
    given = Workloads((operator("1.4.0"), *workloads))
    findings = list_messages(multinode.multinode, defined(*names), given, configs, wide)
    return [f"{outcome} {message}" for outcome, message in findings]


def test_nothing_spans_nodes(tmp_path: Path) -> None:
    narrow = written(tmp_path, a=GRAPH + worker())
    assert get_skip_reason(multinode.multinode, defined(), Workloads(), NO_CONFIG, narrow)


def test_grove_with_kai(wide: Recipes) -> None:
    assert judged(wide, GROVE + KAI, grove()) == []
    (finding,) = judged(wide, GROVE, grove())
    assert finding.startswith("warn KAI Scheduler is not there")
    (finding,) = judged(wide, GROVE + KAI, grove(ready=False))
    assert finding == "fail Grove is not ready: 0 of 1"
    one_of_two = msgspec.structs.replace(grove(), desired=2)
    assert judged(wide, GROVE + KAI, one_of_two) == ["warn Grove is not ready: 1 of 2"], "one leads anyway"
    (finding,) = judged(wide, GROVE + KAI)
    assert finding.startswith("warn Grove has its types, and none of its Deployments was recognized")


def test_nothing_to_start_it(wide: Recipes) -> None:
    (finding,) = judged(wide, KAI)
    assert finding.startswith("fail w spans 2 nodes, and neither Grove nor LeaderWorkerSet with Volcano")
    (finding,) = judged(wide, LWS)
    assert finding.startswith("fail w spans 2 nodes, and of LeaderWorkerSet and Volcano")
    (finding,) = judged(wide, VOLCANO)
    assert finding.startswith("fail")


def test_leader_worker_set_with_volcano(wide: Recipes) -> None:
    lws = runs("registry.k8s.io/lws/lws:v0.7.0")
    volcano = runs("docker.io/volcanosh/vc-scheduler:v1.13.0")
    assert judged(wide, LWS + VOLCANO, lws, volcano) == []
    old = runs("registry.k8s.io/lws/lws:v0.6.2")
    (finding,) = judged(wide, LWS + VOLCANO, old, volcano)
    assert finding == "warn is LeaderWorkerSet 0.6.2; Dynamo asks for 0.7.0 or later"
    (finding,) = judged(wide, LWS + VOLCANO, runs("registry.k8s.io/lws/lws:v0.7.0", ready=False), volcano)
    assert finding.startswith("fail LeaderWorkerSet is not ready")


def test_grove_that_the_operator_is_told_not_to_use(wide: Recipes) -> None:
    off = OperatorConfigs(
        (OperatorConfig(namespace="dynamo-system", name="c", instance="dynamo-platform", grove=False),)
    )
    (finding,) = judged(wide, GROVE + KAI, grove(), configs=off)
    assert "the operator is told not to use it" in finding
    lws = runs("registry.k8s.io/lws/lws:v0.7.0")
    volcano = runs("docker.io/volcanosh/vc-scheduler:v1.13.0")
    assert judged(wide, GROVE + LWS + VOLCANO, grove(), lws, volcano, configs=off) == []


@pytest.mark.parametrize(
    ("release", "tag", "goes"),
    [
        ("1.4.0", "v0.1.0-alpha.10", True),
        ("1.4.2", "v0.1.0-alpha.12", True),
        ("1.4.0", "v0.1.0-alpha.9", False),
        ("1.3.1", "v0.1.0-alpha.8", True),
        ("1.3.1", "v0.1.0-alpha.9", False),
        ("1.1.0", "v0.1.0-alpha.6", False),
        ("1.0.1", "v0.1.0-alpha.6", True),
        ("1.6.1", "v0.1.0-alpha.2", True),  # outside the table
        ("1.4.0", "my-build", True),
    ],
)
def test_which_grove_goes_with_which_release(wide: Recipes, release: str, tag: str, goes: bool) -> None:
    names = (*GROVE, "clustertopologies.grove.io", *KAI)
    given = Workloads((operator(release), grove(tag)))
    judged = list_messages(multinode.multinode, defined(*names), given, NO_CONFIG, wide)
    assert [outcome for outcome, _ in judged] == ([] if goes else ["warn"])


def test_the_topology_type_that_a_release_expects(wide: Recipes) -> None:
    given = Workloads((operator("1.3.0"), grove("v0.1.0-alpha.8")))
    ((outcome, message),) = list_messages(multinode.multinode, defined(*GROVE, *KAI), given, NO_CONFIG, wide)
    assert outcome == "warn"
    assert message.startswith("does not exist; release 1.3 of the operator expects it")


# platform.dns

CLOUD = Nodes((Node("n", labels={"cloud.google.com/gke-nodepool": "a"}),))


AUTO = Nodes((Node("i-1", labels={"eks.amazonaws.com/compute-type": "auto"}),))
EKS = Nodes((Node("i-2", labels={"eks.amazonaws.com/compute-type": "hybrid"}),))


@pytest.mark.parametrize(
    ("ready", "nodes", "outcomes"),
    [
        ({"kube-system/kube-dns": 2}, Nodes(), []),
        ({"kube-system/rke2-coredns-rke2-coredns": 1}, Nodes(), []),
        ({"openshift-dns/dns-default": 3}, Nodes(), []),
        ({"kube-system/kube-dns": 0, "kube-system/coredns": 1}, Nodes(), []),
        ({"kube-system/kube-dns": 0}, Nodes(), ["fail"]),
        ({"kube-system/kube-dns": 0}, CLOUD, ["warn"]),
        ({}, CLOUD, ["warn"]),
        ({"kube-system/kube-dns": 0}, AUTO, ["warn"]),
        ({"kube-system/kube-dns": 0}, EKS, ["fail"]),
        ({}, Nodes(), ["warn"]),
    ],
)
def test_dns(ready: dict[str, int], nodes: Nodes, outcomes: list[str]) -> None:
    judged = list_messages(dns.dns, ServiceEndpoints(ready), Workloads(), nodes)
    assert [outcome for outcome, _ in judged] == outcomes


def test_dns_under_another_name() -> None:
    """Helm names CoreDNS after its release."""
    name = "dns/mine-coredns"
    assert list_messages(dns.dns, ServiceEndpoints({name: 2}, (name,)), Workloads(), Nodes()) == []
    (finding,) = run_check(dns.dns, ServiceEndpoints({name: 0}, (name,)), Workloads(), Nodes())
    assert (str(finding.outcome), str(finding.subject)) == ("fail", "Service dns/mine-coredns")
