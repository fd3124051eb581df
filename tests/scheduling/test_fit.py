"""The model by itself; test_against_scheduler compares it with the real kube-scheduler."""

from typing import Any

import pytest

from dynocheck.facts import Condition, Node, RunningPod, Taint
from dynocheck.scheduling.diagnosis import Diagnosis, diagnose
from dynocheck.scheduling.first_fit import Batch, Scheduler
from dynocheck.scheduling.node_state import ClusterState, explain_refusal
from dynocheck.scheduling.pod_spec_model import Shape, parse_shape, ports_conflict, sum_pod_requests
from dynocheck.scheduling.selectors import matches, term_matches

GPU = "nvidia.com/gpu"
HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def node(name: str, gpus: int = 8, **more: Any) -> Node:
    labels = {HOST: name, "pool": "gpu", **more.pop("labels", {})}
    sizes = {"cpu": "64", "memory": "512Gi", "pods": "110", GPU: str(gpus), **more.pop("allocatable", {})}
    return Node(name=name, labels=labels, allocatable=sizes, **more)


def holding(node_name: str, gpus: int, **more: Any) -> RunningPod:
    return RunningPod(namespace="other", name="p", node=node_name, requests={GPU: gpus}, **more)


def asking(gpus: int, **more: Any) -> Shape:
    resources = {"limits": {GPU: str(gpus)}, "requests": more.pop("requests", {})}
    return parse_shape({"containers": [{"resources": resources}], **more}, "here", {"app": "worker"})


def schedule(nodes: list[Node], running: list[RunningPod], *batches: tuple[Shape, int]) -> Scheduler:
    return Scheduler(ClusterState(nodes, running), [Batch(*each) for each in batches])


def lacking(
    nodes: list[Node], running: list[RunningPod], *batches: tuple[Shape, int]
) -> set[tuple[int, ...]]:
    """The number of pods of each batch without a node, in every run."""
    return {result.lacking for result in schedule(nodes, running, *batches).simulate()}


def find_cause(nodes: list[Node], running: list[RunningPod], shape: Shape, pods: int = 1) -> Diagnosis:
    scheduler = schedule(nodes, running, (shape, pods))
    return diagnose(scheduler, 0, next(iter(scheduler.simulate())))


def explain(nodes: list[Node], running: list[RunningPod], shape: Shape, pods: int = 1) -> str:
    return find_cause(nodes, running, shape, pods).text


def near(key: str = HOST, **term: Any) -> dict[str, Any]:
    """A rule for pods near or apart, by default of those that `asking` makes."""
    return {
        REQUIRED: [{"topologyKey": key, **(term or {"labelSelector": {"matchLabels": {"app": "worker"}}})}]
    }


def test_running_pods_hold_resources() -> None:
    nodes = [node("a"), node("b")]
    assert lacking(nodes, [], (asking(8), 2)) == {(0,)}
    assert lacking(nodes, [holding("a", 1)], (asking(8), 2)) == {(1,)}
    assert lacking(nodes, [holding("gone", 8)], (asking(8), 2)) == {(0,)}


def test_number_of_pods_is_limited() -> None:
    small = node("a", allocatable={"pods": "2"})
    assert lacking([small], [holding("a", 0)], (asking(1), 2)) == {(1,)}
    assert "needs 1 pods; the best node, a, has 0 free" in explain([small], [holding("a", 0)], asking(1), 2)


def test_fit_that_depends_on_the_order() -> None:
    """Two pods of four GPUs may take a node each or share one."""
    nodes, batches = [node("a"), node("b")], [(asking(4), 2), (asking(8), 1)]
    found = lacking(nodes, [], *batches)
    assert (0, 0) in found
    assert len(found) > 1
    assert schedule(nodes, [], *batches).pack().is_complete


def test_init_containers_sidecars_and_overhead() -> None:
    def container(cpu: str, **more: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [container("1"), container("500m")],
        "initContainers": [container("3"), container("1", restartPolicy="Always"), container("2")],
        "overhead": {"cpu": "250m"},
    }
    # The most at once: the first alone 3, the third beside the sidecar 3, all that run 2.5.
    assert sum_pod_requests(spec)["cpu"] * 1000 == 3250


def test_limit_is_the_default_request() -> None:
    spec = {"containers": [{"resources": {"limits": {"cpu": "2", GPU: 1}, "requests": {"cpu": "1"}}}]}
    assert parse_shape(spec, "n").requests == {"cpu": 1000, GPU: 1}


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (node("a", unschedulable=True), "is cordoned"),
        (node("a", conditions=(Condition("Ready", "False"),)), "is not Ready"),
        (node("a", conditions=(Condition("Ready", "Unknown"),)), "is not Ready"),
        (
            node("a", conditions=(Condition("Ready", "True"), Condition("DiskPressure", "True"))),
            "has taint node.kubernetes.io/disk-pressure:NoSchedule, which is not tolerated",
        ),
        (
            node("a", taints=(Taint(GPU, "NoSchedule", "present"),)),
            "has taint nvidia.com/gpu=present:NoSchedule, which is not tolerated",
        ),
        (node("a", taints=(Taint("spot", "PreferNoSchedule"),)), ""),
        (node("a", conditions=(Condition("Ready", "True"),)), ""),
    ],
)
def test_node_that_admits_no_pod(candidate: Node, expected: str) -> None:
    assert explain_refusal(asking(1), candidate) == expected


def test_tolerating_everything_admits_to_cordoned_nodes_only() -> None:
    tolerant = asking(1, tolerations=[{"operator": "Exists"}])
    assert explain_refusal(tolerant, node("a", unschedulable=True)) == ""
    assert explain_refusal(tolerant, node("a", conditions=(Condition("Ready", "Unknown"),))) == "is not Ready"


EXPRESSION = {"key": "gpu", "operator": "In", "values": ["B200", "GB200"]}
TERMS = {"nodeSelectorTerms": [{"matchExpressions": [EXPRESSION]}]}
LARGEST = "no node is large enough: needs 8 nvidia.com/gpu; the largest allowed node, a, has 4"


@pytest.mark.parametrize(
    ("nodes", "pod", "text"),
    [
        ([node("a", 4), node("b", 2)], {}, LARGEST),
        ([node("a")], {"nodeSelector": {"gpu": "GB200"}}, "no node matches nodeSelector gpu=GB200"),
        (
            [node("a")],
            {"affinity": {"nodeAffinity": {REQUIRED: TERMS}}},
            "no node matches node affinity gpu in (B200, GB200)",
        ),
        ([], {}, "the cluster has no nodes"),
    ],
)
def test_no_node_is_large_enough(nodes: list[Node], pod: dict[str, Any], text: str) -> None:
    assert explain(nodes, [], asking(8, **pod)) == text


def test_large_enough_nodes_are_full() -> None:
    nodes, running = [node("a"), node("b"), node("c", 4)], [holding("a", 6), holding("b", 2)]
    found = find_cause(nodes, running, asking(8))
    assert found.text == "needs 8 nvidia.com/gpu; the best node, b, has 6 free"
    assert found.ever
    assert found.holders == {"other": "8"}


def test_anti_affinity_spreads_pods() -> None:
    nodes, shape = [node("a"), node("b")], asking(1, affinity={"podAntiAffinity": near()})
    assert lacking(nodes, [], (shape, 3)) == {(1,)}
    assert "its pod anti-affinity over kubernetes.io/hostname" in explain(nodes, [], shape, 3)


def test_anti_affinity_of_running_pods() -> None:
    everywhere, here = near(labelSelector={}, namespaceSelector={}), near(labelSelector={})
    for rule, expected in [(everywhere, 1), (here, 0)]:  # the second is about its own namespace
        running = [holding("a", 0, affinity={"podAntiAffinity": rule})]
        assert lacking([node("a")], running, (asking(1), 1)) == {(expected,)}


def test_term_without_a_selector_matches_no_pod() -> None:
    apart = {"podAntiAffinity": {REQUIRED: [{"topologyKey": HOST}]}}
    assert lacking([node("a")], [], (asking(1, affinity=apart), 2)) == {(0,)}


def test_host_ports_are_exclusive() -> None:
    shape = parse_shape({"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]}, "n")
    assert lacking([node("a"), node("b")], [], (shape, 3)) == {(1,)}
    on_host = parse_shape({"hostNetwork": True, "containers": [{"ports": [{"containerPort": 80}]}]}, "n")
    assert on_host.ports == shape.ports
    assert ports_conflict(("TCP", "10.0.0.1", 80), ("TCP", "0.0.0.0", 80))
    assert not ports_conflict(("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.2", 80))
    assert not ports_conflict(("TCP", "0.0.0.0", 80), ("UDP", "0.0.0.0", 80))


def test_selectors() -> None:
    labels, about_other = {"app": "x"}, {"key": "other", "values": ["x"]}
    assert not matches(None, labels)
    assert matches({}, labels)
    assert matches({"matchExpressions": [{**about_other, "operator": "NotIn"}]}, labels)
    assert not matches({"matchExpressions": [{**about_other, "operator": "In"}]}, labels)
    named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    assert not term_matches({}, node("a"))
    assert term_matches(named, node("a"))


def test_a_thousand_nodes_and_ten_thousand_pods() -> None:
    nodes = [node(f"n{i}", labels={"zone": str(i % 3)}) for i in range(1000)]
    running = [holding(f"n{i % 1000}", i % 2, labels={"app": str(i % 7)}) for i in range(10_000)]
    spread: dict[str, Any] = {"topologyKey": HOST, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    spread |= {"labelSelector": {"matchLabels": {"app": "worker"}}}
    batches = [
        (asking(0), 1),
        (asking(2), 8),
        (asking(2, affinity={"podAffinity": near("zone")}), 4),
        (asking(1, topologySpreadConstraints=[spread]), 4),
    ]
    assert lacking(nodes, running, *batches) == {(0, 0, 0, 0)}
