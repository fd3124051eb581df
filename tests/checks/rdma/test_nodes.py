from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.rdma import gpudirect, topology
from dynocheck.checks.rdma import nodes as rdma
from dynocheck.checks.rdma import recipes as rdma_recipes
from dynocheck.data.rdma import rdma_resource, topology_levels
from dynocheck.facts import (
    AppliedState,
    Autoscalers,
    Condition,
    DriverSettings,
    NicPolicies,
    NicPolicy,
    Node,
    Nodes,
    OperatorResource,
    OperatorResources,
    Recipes,
    ResourceSlice,
    ResourceSlices,
    Taint,
    Workload,
    Workloads,
)
from tests.checks.judging import deploy, get_skip_reason, judge, outcomes, places, recipes, run_check
from tests.checks.manifests import engine, graph

Found = list[tuple[str, str]]
NO_SLICES = ResourceSlices(served=False)
NO_POLICIES = NicPolicies(served=False)
ZONE = "topology.kubernetes.io/zone"
IB = {"rdma/ib": "8"}


def gpu_node(
    name: str, devices: dict[str, str] | None = None, left: dict[str, str] | None = None, **more: Any
) -> Node:
    capacity = {"nvidia.com/gpu": "8", **(devices or {})}
    return Node(name, capacity=capacity, allocatable={**capacity, **(left or {})}, **more)


def ib(name: str = "a", count: str = "8", **more: Any) -> Node:
    return gpu_node(name, {"rdma/ib": count}, **more)


# Names


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("rdma/ib", True),
        ("rdma/hca_shared_devices_a", True),
        ("nvidia.com/mlnxnics", True),
        ("nvidia.com/hostdev", True),
        ("nvidia.com/sriov-rdma-vf", True),
        ("openshift.io/rdma_vfs", True),
        ("vpc.amazonaws.com/efa", True),
        ("networking.gke.io.networks/rdma-0", True),
        ("networking.gke.io.networks/rdma-0.IP", False),
        ("networking.gke.io.networks/vpc1", False),
        ("nvidia.com/gpu", False),
        ("hugepages-1Gi", False),
        ("smarter-devices/fuse", False),
    ],
)
def test_rdma_goes_by_many_names(name: str, known: bool) -> None:
    assert (rdma_resource(name) is not None) is known


def test_every_row_has_its_source() -> None:
    assert all(level.source.startswith("https://") for level in topology_levels())
    assert len({level.label for level in topology_levels()}) == len(topology_levels())


# Resources


DRANET = [ResourceSlice(node, "dra.net", node, 9, rdma=8) for node in "ab"]
POLICY_NAMES_NIC = NicPolicies(
    (NicPolicy(kind="NicClusterPolicy", name="p", resources=("corp.example/nic",)),)
)
NIC = {"corp.example/nic": "8"}
PRODUCT, INSTANCE = "nvidia.com/gpu.product", "node.kubernetes.io/instance-type"


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([ib("a", "1k"), ib("b", "1k"), Node("cpu")], []),
        ([ib(), ib("down", left={"rdma/ib": "0"})], [("fail", "Node down")]),
        ([gpu_node("a", IB | {"nvidia.com/mlnxnics": "8"}, {"rdma/ib": "0"})], [("warn", "Node a")]),
        ([ib(left={"rdma/ib": "7"})], [("warn", "Node a")]),
        ([ib("a"), ib("b"), gpu_node("odd")], [("warn", "Node odd")]),
        ([ib("a"), ib("b"), ib("less", "7")], [("warn", "Node less")]),
        ([ib("a"), gpu_node("c"), gpu_node("d")], [("warn", "Node c"), ("warn", "Node d")]),
        # Nodes of another kind, told apart by label or size, need none.
        ([gpu_node("a", IB | {"cpu": "192"}), gpu_node("b", {"cpu": "32"})], []),
        ([ib(labels={PRODUCT: "big"}), gpu_node("b", labels={PRODUCT: "small"})], []),
        ([ib(labels={INSTANCE: "big"}), gpu_node("b", labels={INSTANCE: "small"})], []),
    ],
)
def test_resources(nodes: list[Node], expected: Found) -> None:
    assert places(rdma.resources, Nodes(tuple(nodes)), NO_SLICES, NO_POLICIES) == expected


@pytest.mark.parametrize(
    ("nodes", "slices", "policies", "expected"),
    [
        ([gpu_node("a"), Node("cpu")], NO_SLICES, NO_POLICIES, ["skip"]),
        ([ib(count="0")], NO_SLICES, NO_POLICIES, ["skip"]),
        ([gpu_node("a", NIC), gpu_node("b")], NO_SLICES, NO_POLICIES, ["skip"]),
        ([gpu_node("a", NIC), gpu_node("b")], NO_SLICES, POLICY_NAMES_NIC, ["warn"]),
        ([gpu_node("a"), gpu_node("b")], ResourceSlices(tuple(DRANET)), NO_POLICIES, []),
        ([gpu_node("a"), gpu_node("b")], ResourceSlices(tuple(DRANET[:1])), NO_POLICIES, ["warn"]),
    ],
)
def test_what_counts_as_rdma(
    nodes: list[Node], slices: ResourceSlices, policies: NicPolicies, expected: list[str]
) -> None:
    assert outcomes(rdma.resources, Nodes(tuple(nodes)), slices, policies) == expected


# Operator


def policy(state: str = "ready", name: str = "nic-cluster-policy", **states: str) -> NicPolicies:
    applied = tuple(AppliedState(key, value) for key, value in states.items())
    return NicPolicies((NicPolicy(kind="NicClusterPolicy", name=name, state=state, states=applied),))


def workload(kind: str, name: str, image: str, ready: int, desired: int) -> Workload:
    return Workload(kind=kind, namespace="n", name=name, images=(image,), ready=ready, desired=desired)


def controller(ready: int = 1, desired: int = 1) -> Workload:
    image = "nvcr.io/nvidia/cloud-native/network-operator@sha256:12"
    return workload("Deployment", "network-operator", image, ready, desired)


@pytest.mark.parametrize(
    ("policies", "workloads", "expected"),
    [
        (policy(OFED="ready", other="ignore"), [controller()], []),
        (policy("notReady", OFED="error", other="ready"), [controller()], ["fail"]),
        (policy("error"), [controller()], ["fail"]),
        (policy(""), [controller()], ["warn"]),
        (policy("ignore", "other"), [controller()], ["warn"]),
        (policy(), [], ["warn"]),  # nobody looks after it
        (policy(), [controller(1, 2)], ["warn"]),  # one is enough for now
        (policy(), [controller(0)], ["fail"]),
    ],
)
def test_the_network_operator(policies: NicPolicies, workloads: list[Workload], expected: list[str]) -> None:
    facts = policies, Workloads(tuple(workloads)), Nodes(()), NO_SLICES, None
    assert outcomes(rdma.operator, *facts) == expected


SHARED = "ghcr.io/mellanox/k8s-rdma-shared-dev-plugin:v1"
SRIOV = "nvcr.io/nvidia/mellanox/sriov-network-device-plugin@sha256:1"
EFA_PLUGIN = "602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/aws-efa-k8s-device-plugin:v0.5.7"
DOWN = Node("cpu", conditions=(Condition("Ready", "Unknown"),))


@pytest.mark.parametrize(
    ("image", "ready", "desired", "nodes", "expected"),
    [
        *[(image, 3, 3, [], []) for image in (SHARED, SRIOV, EFA_PLUGIN)],
        *[(image, 0, 0, [], []) for image in (SHARED, SRIOV, EFA_PLUGIN)],
        *[(image, 2, 3, [], ["fail"]) for image in (SHARED, SRIOV, EFA_PLUGIN)],
        (SHARED, 2, 3, [DOWN], ["warn"]),  # it is missing where a node is down
        (SHARED, 1, 3, [DOWN], ["fail"]),
    ],
)
def test_device_plugins_that_stand_alone(
    image: str, ready: int, desired: int, nodes: list[Node], expected: list[str]
) -> None:
    workloads = Workloads((workload("DaemonSet", "d", image, ready, desired),))
    assert outcomes(rdma.operator, NO_POLICIES, workloads, Nodes(tuple(nodes)), NO_SLICES, None) == expected


def test_without_operator_and_plugin(tmp_path: Path) -> None:
    managed = Nodes((gpu_node("a", {"networking.gke.io.networks/rdma-0": "1"}),))
    for nodes, reason in [(managed, "without the Network Operator"), (Nodes(()), "no recipe requests RDMA")]:
        facts = NO_POLICIES, Workloads(), nodes, NO_SLICES, None
        assert reason in get_skip_reason(rdma.operator, *facts)
    asks = deploy(tmp_path, graph(rdma_worker(limits={"rdma/ib": "1"})))
    (finding,) = run_check(rdma.operator, NO_POLICIES, Workloads(), Nodes(()), NO_SLICES, asks)
    assert finding.outcome == "fail"
    assert "rdma/ib" in finding.message


# GPUDirect


def driver(kind: str = "ClusterPolicy", **settings: Any) -> OperatorResource:
    return OperatorResource(kind, "x", "ready", driver=DriverSettings(**settings))


HOPPER = {"nvidia.com/gpu.family": "hopper", "nvidia.com/cuda.driver-version.full": "580.95.05"}
VOLTA = {**HOPPER, "nvidia.com/gpu.family": "volta"}
OLD_DRIVER = {**HOPPER, "nvidia.com/cuda.driver-version.full": "550.144.03"}


@pytest.mark.parametrize(
    ("drivers", "node", "expected"),
    [
        ([driver(peermem=True)], ib(), []),
        ([driver(modules="open")], ib(kernel="6.8.0-1018-azure"), []),
        ([driver(modules="auto")], ib(kernel="6.8.0", labels=HOPPER), []),
        ([driver(modules="proprietary")], ib(), ["warn"]),
        ([driver(modules="open")], ib(kernel="4.18.0-553.el8_10.x86_64"), ["warn"]),
        ([driver()], ib(kernel="6.8.0", labels=VOLTA), ["warn"]),
        ([driver()], ib(kernel="6.8.0"), ["unjudged"]),
        ([driver(modules="open")], ib(), ["unjudged"]),
        ([driver()], ib(kernel="6.8.0", labels=OLD_DRIVER), ["unjudged"]),
        ([], ib(), ["unjudged"]),
        ([driver(installs=False)], ib(), ["unjudged"]),
        # NVIDIADriver objects take over.
        ([driver(elsewhere=True), driver("NVIDIADriver", peermem=True)], ib(), []),
        # EFA has its own way.
        ([], gpu_node("a", {"vpc.amazonaws.com/efa": "32"}), "no GPU node has RDMA devices"),
    ],
)
def test_gpudirect(drivers: list[OperatorResource], node: Node, expected: list[str] | str) -> None:
    facts = OperatorResources(tuple(drivers)), NO_POLICIES, Nodes((node,)), NO_SLICES
    if isinstance(expected, str):
        assert expected in get_skip_reason(gpudirect.gpudirect, *facts)
    else:
        assert judge(gpudirect.gpudirect, *facts) == expected


# What recipes need


def rdma_worker(name: str = "w", role: str = "worker", gpus: int = 8, **more: Any) -> dict[str, Any]:
    return engine(name=name, role=role, gpus=gpus, model=None, **more)


def spanning(**more: Any) -> dict[str, Any]:
    return rdma_worker(multinode={"nodeCount": 2}, **more)


def sides(gpus: int = 8, **more: Any) -> list[dict[str, Any]]:
    return [rdma_worker(role, role, gpus, **more) for role in ("prefill", "decode")]


NODES = Nodes((ib("a"), ib("b")))
BARE = Nodes((gpu_node("a"), gpu_node("b")))
EFA = {"vpc.amazonaws.com/efa": "16"}


def needed(recipe: Recipes, nodes: Nodes = NODES, *autoscalers: str) -> list[str]:
    return outcomes(
        rdma_recipes.required_by_recipe, recipe, nodes, NO_SLICES, NO_POLICIES, Autoscalers(autoscalers)
    )


def affinity(key: str = "kubernetes.io/hostname") -> dict[str, Any]:
    terms = [{"topologyKey": key, "labelSelector": {}}]
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


TERM = {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}
PREFERRED = {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [TERM]}}}
CHANNEL = {"resourceClaims": [{"name": "compute-domain-channel", "resourceClaimTemplateName": "c"}]}
ALL_NICS = {"resourceClaims": [{"name": "nics", "resourceClaimTemplateName": "all-mrdma"}]}
FLAGGED = engine("--disaggregation-mode", "prefill", name="p", gpus=8, model=None)


@pytest.mark.parametrize(
    ("components", "nodes", "expected"),
    [
        ([rdma_worker(gpus=1)], NODES, ["skip"]),
        ([spanning(limits=IB)], NODES, []),
        ([spanning(limits={"rdma/shared_ib": "1"})], NODES, ["fail"]),
        ([rdma_worker(limits={"rdma/ib": "9"})], NODES, ["fail"]),
        ([spanning()], NODES, ["warn"]),
        ([spanning()], BARE, ["warn"]),
        (sides(), NODES, ["warn", "warn"]),
        (sides(), Nodes(NODES.items[:1]), []),  # there is one node for them
        ([FLAGGED, rdma_worker("d")], NODES, ["warn", "warn"]),  # a prefill worker by its flag
        (sides(limits={"corp.example/nic": "8"}), NODES, []),  # an unknown resource may be RDMA
        (sides(pod=affinity()), NODES, []),
        (sides(4, pod=PREFERRED), NODES, []),
        (sides(8, pod=PREFERRED), NODES, ["warn", "warn"]),
        (sides(4, pod={"nodeSelector": {"kubernetes.io/hostname": "a"}}), NODES, []),
        (sides(pod={"hostNetwork": True}), NODES, []),
        (sides(pod={"volumes": [{"name": "ib", "hostPath": {"path": "/dev/infiniband"}}]}), NODES, []),
        (sides(pod={"volumes": [{"name": "x", "hostPath": {"path": "/data"}}]}), NODES, ["warn", "warn"]),
        (sides(pod=ALL_NICS), NODES, []),
        (sides(pod=CHANNEL), NODES, []),
    ],
)
def test_what_recipes_need(
    tmp_path: Path, components: list[dict[str, Any]], nodes: Nodes, expected: list[str]
) -> None:
    assert needed(deploy(tmp_path, graph(*components)), nodes) == expected


def test_devices_of_another_kind(tmp_path: Path) -> None:
    efa = deploy(tmp_path, graph(rdma_worker(limits=EFA)))
    facts = efa, NODES, NO_SLICES, NO_POLICIES, Autoscalers()
    (finding,) = run_check(rdma_recipes.required_by_recipe, *facts)
    assert (finding.outcome, finding.fix) == ("fail", "use the recipe's variant for rdma/ib")
    assert needed(efa, BARE, "Karpenter") == ["warn"], "nodes may still come"


def test_v1alpha1_asks_under_custom(tmp_path: Path) -> None:
    old = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  services:
    w:
      componentType: worker
      resources: {limits: {gpu: "8", custom: {rdma/hca: "1", ephemeral-storage: 2Gi}}}
"""
    facts = recipes(tmp_path, deploy=old)
    assert facts.items[0].graphs[0].components[0].resources == {"rdma/hca": "1"}
    assert needed(facts) == ["fail"]


# Topology


def zoned(*zones: str, label: str = ZONE, more: Node | None = None) -> Nodes:
    """Nodes with the values of a label, and one more."""
    nodes = [gpu_node(f"n{number}", labels={label: zone}) for number, zone in enumerate(zones)]
    return Nodes((*nodes, more) if more else tuple(nodes))


def in_zone_b(devices: dict[str, str] | None = None, **more: Any) -> Node:
    return gpu_node("x", devices, labels={ZONE: "b"}, **more)


IN_A = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["a"]}]}
REQUIRED = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [IN_A]}}
BLOCKS = zoned("a", "b", label="cloud.google.com/gce-topology-block")
CLIQUES = zoned("cluster.1", "cluster.2", label="nvidia.com/gpu.clique")
NOT_READY = (Condition("Ready", "False"),)
TEAM, GPUS = Taint("team", "NoSchedule", "x"), Taint("nvidia.com/gpu", "NoSchedule", "present")


@pytest.mark.parametrize(
    ("components", "nodes", "expected"),
    [
        ([spanning()], zoned("a", "a"), []),
        ([spanning()], zoned("a", "b"), ["warn"]),
        ([rdma_worker()], zoned("a", "b"), "no worker"),
        ([spanning()], BARE, ["unjudged"]),
        ([spanning()], zoned("0", "1"), ["unjudged"]),
        ([spanning()], zoned("a", more=gpu_node("unlabelled")), ["unjudged"]),
        ([spanning()], Nodes(()), "no node"),
        # Pods that are kept together.
        ([spanning(pod={"nodeSelector": {ZONE: "a"}})], zoned("a", "a", "b"), []),
        ([spanning(pod=affinity(ZONE))], zoned("a", "a", "b"), []),
        ([spanning(pod={"affinity": {"nodeAffinity": REQUIRED}})], zoned("a", "a", "b"), []),
        ([spanning(topologyConstraint={"packDomain": "zone"})], zoned("a", "b"), []),
        # Nodes that cannot be had do not count.
        ([spanning()], zoned("a", "a", more=in_zone_b(unschedulable=True)), []),
        ([spanning()], zoned("a", "a", more=in_zone_b(conditions=NOT_READY)), []),
        ([spanning()], zoned("a", "a", more=in_zone_b(taints=(TEAM,))), []),
        ([spanning()], zoned("a", "a", more=in_zone_b({"nvidia.com/gpu": "4"})), []),
        ([spanning()], zoned("a", "a", more=in_zone_b(taints=(GPUS,))), ["warn"]),
        # The sides of a disaggregated graph need one zone, a worker that spans nodes one block or clique.
        (sides(), zoned("a", "b"), ["warn"]),
        (sides(pod=affinity()), zoned("a", "b"), []),
        (sides(), BLOCKS, ["unjudged"]),
        ([spanning()], BLOCKS, ["warn"]),
        ([spanning()], CLIQUES, ["unjudged"]),
        ([spanning(pod=CHANNEL)], CLIQUES, ["warn"]),  # NVLink crosses nodes
    ],
)
def test_topology(
    tmp_path: Path, components: list[dict[str, Any]], nodes: Nodes, expected: list[str] | str
) -> None:
    facts = deploy(tmp_path, graph(*components)), nodes, NO_SLICES
    if isinstance(expected, str):
        assert expected in get_skip_reason(topology.topology, *facts)
    else:
        assert judge(topology.topology, *facts) == expected
