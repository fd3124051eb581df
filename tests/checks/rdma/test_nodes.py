from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
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
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check

NO_SLICES = ResourceSlices(served=False)
NO_POLICIES = NicPolicies(served=False)
NO_WORKLOADS = Workloads()
NO_SCALERS = Autoscalers()
ZONE = "topology.kubernetes.io/zone"


def gpu_node(
    name: str, devices: dict[str, str] | None = None, left: dict[str, str] | None = None, **more: Any
) -> Node:
    capacity = {"nvidia.com/gpu": "8", **(devices or {})}
    return Node(name, capacity=capacity, allocatable={**capacity, **(left or {})}, **more)


def resources(*nodes: Node, slices: ResourceSlices = NO_SLICES, policies: NicPolicies = NO_POLICIES) -> Any:
    return list_messages(rdma.resources, Nodes(nodes), slices, policies)


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


def test_no_rdma_is_nothing_to_judge() -> None:
    nodes = Nodes((gpu_node("a"), Node("cpu")))
    assert "no node has a known RDMA" in get_skip_reason(rdma.resources, nodes, NO_SLICES, NO_POLICIES)
    gone = Nodes((gpu_node("a", {"rdma/old": "0"}),))
    assert "no node has a known RDMA" in get_skip_reason(rdma.resources, gone, NO_SLICES, NO_POLICIES)


def test_gpu_nodes_that_are_alike() -> None:
    assert resources(gpu_node("a", {"rdma/ib": "1k"}), gpu_node("b", {"rdma/ib": "1k"}), Node("cpu")) == []


def test_devices_without_their_plugin() -> None:
    good, down = gpu_node("good", {"rdma/ib": "8"}), gpu_node("down", {"rdma/ib": "8"}, {"rdma/ib": "0"})
    ((outcome, message),) = resources(good, down)
    assert (outcome, "has 8 rdma/ib, 0 allocatable" in message) == ("fail", True)


def test_a_second_plugin_that_is_down_is_a_warning() -> None:
    both = {"rdma/ib": "8", "nvidia.com/mlnxnics": "8"}
    assert [outcome for outcome, _ in resources(gpu_node("a", both, {"rdma/ib": "0"}))] == ["warn"]


def test_a_sick_device() -> None:
    assert resources(gpu_node("a", {"rdma/ib": "8"}, {"rdma/ib": "7"})) == [
        ("warn", "has 8 rdma/ib, 7 allocatable: the others are unhealthy")
    ]


def test_the_odd_node_out() -> None:
    good = [gpu_node(name, {"rdma/ib": "8"}) for name in "ab"]
    assert resources(*good, gpu_node("odd")) == [
        ("warn", "has 0 rdma/ib, 2 GPU nodes of its type have up to 8")
    ]
    assert resources(*good, gpu_node("less", {"rdma/ib": "7"})) == [
        ("warn", "has 7 rdma/ib, 2 GPU nodes of its type have up to 8")
    ]
    assert len(resources(good[0], gpu_node("c"), gpu_node("d"))) == 2


def test_nodes_without_labels_are_told_apart_by_their_size() -> None:
    big, small = gpu_node("a", {"rdma/ib": "8", "cpu": "192"}), gpu_node("b", {"cpu": "32"})
    assert resources(big, small) == []


@pytest.mark.parametrize("label", ["nvidia.com/gpu.product", "node.kubernetes.io/instance-type"])
def test_nodes_of_another_kind_need_no_rdma(label: str) -> None:
    big, small = (
        gpu_node("a", {"rdma/ib": "8"}, labels={label: "big"}),
        gpu_node("b", labels={label: "small"}),
    )
    assert resources(big, small) == []


def test_names_that_only_a_policy_tells() -> None:
    policies = NicPolicies((NicPolicy(kind="NicClusterPolicy", name="p", resources=("corp.example/nic",)),))
    nodes = [gpu_node("a", {"corp.example/nic": "8"}), gpu_node("b")]
    assert len(resources(*nodes, policies=policies)) == 1
    assert "no node has a known RDMA" in get_skip_reason(
        rdma.resources, Nodes(tuple(nodes)), NO_SLICES, NO_POLICIES
    )


def test_devices_of_dranet() -> None:
    def slices(*nodes: str) -> ResourceSlices:
        return ResourceSlices(tuple(ResourceSlice(node, "dra.net", node, 9, rdma=8) for node in nodes))

    nodes = gpu_node("a"), gpu_node("b")
    assert resources(*nodes, slices=slices("a", "b")) == []
    assert [outcome for outcome, _ in resources(*nodes, slices=slices("a"))] == ["warn"]


# Operator


def policy(state: str = "ready", name: str = "nic-cluster-policy", **states: str) -> NicPolicies:
    applied = tuple(AppliedState(key, value) for key, value in states.items())
    return NicPolicies((NicPolicy(kind="NicClusterPolicy", name=name, state=state, states=applied),))


def daemon(image: str, ready: int, desired: int = 3) -> Workload:
    return Workload(kind="DaemonSet", namespace="n", name="d", images=(image,), ready=ready, desired=desired)


CONTROLLER = Workload(
    kind="Deployment",
    namespace="n",
    name="network-operator",
    images=("nvcr.io/nvidia/cloud-native/network-operator@sha256:12",),
    desired=1,
    ready=1,
)


def operator(policies: NicPolicies, *workloads: Workload) -> list[tuple[str, str]]:
    return list_messages(rdma.operator, policies, Workloads(workloads), Nodes(()), NO_SLICES, None)


def test_a_policy_is_ready_or_says_what_is_not() -> None:
    assert operator(policy(OFED="ready", other="ignore"), CONTROLLER) == []
    assert operator(policy("notReady", OFED="error", other="ready"), CONTROLLER) == [
        ("fail", "OFED is error")
    ]
    assert operator(policy("error"), CONTROLLER) == [("fail", "is error, without a reason")]
    assert [outcome for outcome, _ in operator(policy(""), CONTROLLER)] == ["warn"]
    assert [outcome for outcome, _ in operator(policy("ignore", "other"), CONTROLLER)] == ["warn"]
    assert [outcome for outcome, _ in operator(policy())] == ["warn"], "nobody looks after it"


def test_one_controller_of_two_is_enough_for_now() -> None:
    two = msgspec.structs.replace(CONTROLLER, desired=2)
    assert [outcome for outcome, _ in operator(policy(), two)] == ["warn"]
    none = msgspec.structs.replace(CONTROLLER, ready=0)
    assert [outcome for outcome, _ in operator(policy(), none)] == ["fail"]


@pytest.mark.parametrize(
    "image",
    [
        "ghcr.io/mellanox/k8s-rdma-shared-dev-plugin:v1",
        "nvcr.io/nvidia/mellanox/sriov-network-device-plugin@sha256:1",
        "602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/aws-efa-k8s-device-plugin:v0.5.7",
    ],
)
def test_device_plugins_that_stand_alone(image: str) -> None:
    assert operator(NO_POLICIES, daemon(image, 3)) == []
    assert operator(NO_POLICIES, daemon(image, 0, 0)) == []
    ((outcome, message),) = operator(NO_POLICIES, daemon(image, 2))
    assert (outcome, message.endswith("is ready on 2 of 3 nodes")) == ("fail", True)


def test_a_plugin_is_missing_where_nodes_are_down() -> None:
    image = "ghcr.io/mellanox/k8s-rdma-shared-dev-plugin:v1"
    down = Nodes((Node("cpu", conditions=(Condition("Ready", "Unknown"),)),))
    for ready, outcome in [(2, "warn"), (1, "fail")]:
        workloads = Workloads((daemon(image, ready),))
        ((said_of_it, _),) = list_messages(rdma.operator, NO_POLICIES, workloads, down, NO_SLICES, None)
        assert said_of_it == outcome


def test_without_operator_and_plugin(tmp_path: Path) -> None:
    managed = Nodes((gpu_node("a", {"networking.gke.io.networks/rdma-0": "1"}),))
    assert "without the Network Operator" in get_skip_reason(
        rdma.operator, NO_POLICIES, NO_WORKLOADS, managed, NO_SLICES, None
    )
    assert "no recipe requests RDMA" in get_skip_reason(
        rdma.operator, NO_POLICIES, NO_WORKLOADS, Nodes(()), NO_SLICES, None
    )
    asks = recipes(tmp_path, deploy=GRAPH + FRONTEND + rdma_worker(limits="rdma/ib: 1"))
    (finding,) = run_check(rdma.operator, NO_POLICIES, NO_WORKLOADS, Nodes(()), NO_SLICES, asks)
    assert (str(finding.outcome), "rdma/ib" in finding.message) == ("fail", True)


# GPUDirect


def direct(driver: OperatorResource, **node: Any) -> list[tuple[str, str]]:
    return list_messages(
        gpudirect.gpudirect, OperatorResources((driver,)), NO_POLICIES, Nodes((ib(**node),)), NO_SLICES
    )


def undecided(drivers: OperatorResources, **node: Any) -> str:
    return get_skip_reason(gpudirect.gpudirect, drivers, NO_POLICIES, Nodes((ib(**node),)), NO_SLICES)


def ib(**more: Any) -> Node:
    return gpu_node("a", {"rdma/ib": "8"}, **more)


def driver(kind: str = "ClusterPolicy", **more: Any) -> OperatorResource:
    return OperatorResource(kind, "x", "ready", driver=DriverSettings(**more))


HOPPER = {"nvidia.com/gpu.family": "hopper", "nvidia.com/cuda.driver-version.full": "580.95.05"}


def test_peermem_or_open_modules() -> None:
    assert direct(driver(peermem=True)) == []
    assert direct(driver(modules="open"), kernel="6.8.0-1018-azure") == []
    assert direct(driver(modules="auto"), kernel="6.8.0", labels=HOPPER) == []


def test_ways_that_are_barred() -> None:
    assert [o for o, _ in direct(driver(modules="proprietary"))] == ["warn"]
    assert [o for o, _ in direct(driver(modules="open"), kernel="4.18.0-553.el8_10.x86_64")] == ["warn"]
    volta = {**HOPPER, "nvidia.com/gpu.family": "volta"}
    assert [o for o, _ in direct(driver(), kernel="6.8.0", labels=volta)] == ["warn"]


def test_what_labels_and_policies_do_not_tell() -> None:
    assert "do not show" in undecided(OperatorResources((driver(),)), kernel="6.8.0")
    assert "do not show" in undecided(OperatorResources((driver(modules="open"),)))
    assert "do not show" in undecided(
        OperatorResources((driver(),)),
        kernel="6.8.0",
        labels={**HOPPER, "nvidia.com/cuda.driver-version.full": "550.144.03"},
    )
    for drivers in (OperatorResources(), OperatorResources((driver(installs=False),))):
        assert "does not install the driver" in undecided(drivers)


def test_driver_objects_take_over() -> None:
    drivers = OperatorResources((driver(elsewhere=True), driver("NVIDIADriver", peermem=True)))
    assert list_messages(gpudirect.gpudirect, drivers, NO_POLICIES, Nodes((ib(),)), NO_SLICES) == []


def test_efa_has_its_own_way() -> None:
    nodes = Nodes((gpu_node("a", {"vpc.amazonaws.com/efa": "32"}),))
    reason = get_skip_reason(gpudirect.gpudirect, OperatorResources(), NO_POLICIES, nodes, NO_SLICES)
    assert "no GPU node has RDMA devices" in reason


# What recipes need


def rdma_worker(
    name: str = "w", role: str = "worker", *, limits: str = "", pod: str = "", more: str = "", gpus: int = 8
) -> str:
    wanted = f"nvidia.com/gpu: {gpus}" + (f", {limits}" if limits else "")
    return f"""
  - name: {name}
    type: {role}
    {more}
    podTemplate:
      spec:
        {pod}
        containers:
        - name: main
          image: registry.example/vllm-runtime:1.3.0
          command: [python3, -m, dynamo.vllm]
          resources: {{limits: {{{wanted}}}}}
"""


TWO_NODES = "multinode: {nodeCount: 2}"
NODES = Nodes(tuple(gpu_node(name, {"rdma/ib": "8"}) for name in "ab"))
BARE = Nodes((gpu_node("a"), gpu_node("b")))


def graph(folder: Path, *workers: str) -> Recipes:
    return recipes(folder, deploy=GRAPH + FRONTEND + "".join(workers))


def needed(facts: Recipes, nodes: Nodes = NODES, autoscalers: Autoscalers = NO_SCALERS) -> Any:
    return list_messages(rdma_recipes.required_by_recipe, facts, nodes, NO_SLICES, NO_POLICIES, autoscalers)


def test_a_recipe_that_needs_none(tmp_path: Path) -> None:
    facts = graph(tmp_path, rdma_worker(gpus=1))
    reason = get_skip_reason(
        rdma_recipes.required_by_recipe, facts, NODES, NO_SLICES, NO_POLICIES, NO_SCALERS
    )
    assert reason == "no recipe requests or needs RDMA"


def test_what_is_asked_for_must_be_offered(tmp_path: Path) -> None:
    assert needed(graph(tmp_path, rdma_worker(limits="rdma/ib: 8", more=TWO_NODES))) == []
    wrong = graph(tmp_path, rdma_worker(limits="rdma/shared_ib: 1", more=TWO_NODES))
    assert needed(wrong) == [
        ("fail", "w requests 1 rdma/shared_ib, which no GPU node has; they have rdma/ib")
    ]
    efa = graph(tmp_path, rdma_worker(limits="vpc.amazonaws.com/efa: 16"))
    (finding,) = run_check(rdma_recipes.required_by_recipe, efa, NODES, NO_SLICES, NO_POLICIES, NO_SCALERS)
    assert finding.fix == "use the recipe's variant for rdma/ib"
    much = graph(tmp_path, rdma_worker(limits="rdma/ib: 9"))
    assert [outcome for outcome, _ in needed(much)] == ["fail"]


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
    assert [outcome for outcome, _ in needed(facts)] == ["fail"]


def test_nodes_that_may_still_come(tmp_path: Path) -> None:
    wrong = graph(tmp_path, rdma_worker(limits="vpc.amazonaws.com/efa: 16"))
    assert [outcome for outcome, _ in needed(wrong, BARE, Autoscalers(("Karpenter",)))] == ["warn"]


def test_a_worker_that_spans_nodes_and_asks_for_none(tmp_path: Path) -> None:
    facts = graph(tmp_path, rdma_worker(more=TWO_NODES))
    ((outcome, message),) = needed(facts)
    assert (outcome, "spans 2 nodes, but requests no RDMA" in message) == ("warn", True)
    ((outcome, message),) = needed(facts, BARE)
    assert (outcome, "no GPU node has a known RDMA resource" in message) == ("warn", True)


def sides(pod: str = "", limits: str = "", gpus: int = 8) -> list[str]:
    return [rdma_worker(role, role, pod=pod, limits=limits, gpus=gpus) for role in ("prefill", "decode")]


def test_prefill_and_decode_exchange_blocks(tmp_path: Path) -> None:
    facts = graph(tmp_path, *sides())
    assert [outcome for outcome, _ in needed(facts)] == ["warn", "warn"]
    assert needed(facts, Nodes(NODES.items[:1])) == [], "there is one node for them"


AFFINITY = (
    "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
    "[{topologyKey: kubernetes.io/hostname, labelSelector: {}}]}}"
)
PREFERRED = (
    "affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: "
    "[{weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname}}]}}"
)


@pytest.mark.parametrize(
    ("pod", "gpus", "warned"),
    [
        (AFFINITY, 8, False),
        (PREFERRED, 4, False),
        (PREFERRED, 8, True),
        ("nodeSelector: {kubernetes.io/hostname: a}", 4, False),
        ("hostNetwork: true", 8, False),
        ("volumes: [{name: ib, hostPath: {path: /dev/infiniband}}]", 8, False),
        ("volumes: [{name: x, hostPath: {path: /data}}]", 8, True),
        ("resourceClaims: [{name: nics, resourceClaimTemplateName: all-mrdma}]", 8, False),
        ("resourceClaims: [{name: compute-domain-channel, resourceClaimTemplateName: c}]", 8, False),
    ],
)
def test_what_serves_without_a_resource(tmp_path: Path, pod: str, gpus: int, warned: bool) -> None:
    assert bool(needed(graph(tmp_path, *sides(pod, gpus=gpus)))) is warned


def test_an_unknown_resource_may_be_rdma(tmp_path: Path) -> None:
    assert needed(graph(tmp_path, *sides(limits="corp.example/nic: 8"))) == []


def test_a_prefill_worker_by_its_flag(tmp_path: Path) -> None:
    flagged = rdma_worker("p").replace("dynamo.vllm]", "dynamo.vllm, --disaggregation-mode, prefill]")
    assert [outcome for outcome, _ in needed(graph(tmp_path, flagged, rdma_worker("d")))] == ["warn", "warn"]


# Topology


def zoned(*zones: str, label: str = ZONE, **more: Any) -> Nodes:
    return Nodes(tuple(gpu_node(f"n{i}", labels={label: zone}, **more) for i, zone in enumerate(zones)))


def near(facts: Recipes, nodes: Nodes) -> list[tuple[str, str]]:
    return list_messages(topology.topology, facts, nodes, NO_SLICES)


def test_nodes_of_one_domain_and_of_two(tmp_path: Path) -> None:
    facts = graph(tmp_path, rdma_worker(more=TWO_NODES))
    assert near(facts, zoned("a", "a")) == []
    ((outcome, message),) = near(facts, zoned("a", "b"))
    assert (outcome, "2 domains of topology.kubernetes.io/zone" in message) == ("warn", True)


def test_no_worker_or_no_label_or_no_node(tmp_path: Path) -> None:
    one = graph(tmp_path, rdma_worker())
    assert "no worker" in get_skip_reason(topology.topology, one, zoned("a", "b"), NO_SLICES)
    facts = graph(tmp_path, rdma_worker(more=TWO_NODES))
    for nodes in (BARE, zoned("0", "1"), Nodes((*zoned("a").items, gpu_node("unlabelled")))):
        assert "no label" in get_skip_reason(topology.topology, facts, nodes, NO_SLICES)
    assert "no node" in get_skip_reason(topology.topology, facts, Nodes(()), NO_SLICES)


@pytest.mark.parametrize(
    "pod",
    [
        "nodeSelector: {topology.kubernetes.io/zone: a}",
        AFFINITY.replace("kubernetes.io/hostname", ZONE),
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: "
        f"[{{matchExpressions: [{{key: {ZONE}, operator: In, values: [a]}}]}}]}}}}}}",
    ],
)
def test_pods_that_are_kept_together(tmp_path: Path, pod: str) -> None:
    assert near(graph(tmp_path, rdma_worker(more=TWO_NODES, pod=pod)), zoned("a", "a", "b")) == []


def test_a_topology_constraint_keeps_them_together(tmp_path: Path) -> None:
    more = f"{TWO_NODES}\n    topologyConstraint: {{packDomain: zone}}"
    assert near(graph(tmp_path, rdma_worker(more=more)), zoned("a", "b")) == []


def test_nodes_that_cannot_be_had_do_not_count(tmp_path: Path) -> None:
    facts = graph(tmp_path, rdma_worker(more=TWO_NODES))
    good = zoned("a", "a").items
    for other in (
        gpu_node("x", labels={ZONE: "b"}, unschedulable=True),
        gpu_node("x", labels={ZONE: "b"}, conditions=(Condition("Ready", "False"),)),
        gpu_node("x", labels={ZONE: "b"}, taints=(Taint("team", "NoSchedule", "x"),)),
        gpu_node("x", {"nvidia.com/gpu": "4"}, labels={ZONE: "b"}),
    ):
        assert near(facts, Nodes((*good, other))) == []
    tainted = gpu_node("x", labels={ZONE: "b"}, taints=(Taint("nvidia.com/gpu", "NoSchedule", "present"),))
    assert len(near(facts, Nodes((*good, tainted)))) == 1


def test_the_sides_of_a_disaggregated_graph_need_one_zone(tmp_path: Path) -> None:
    facts = graph(tmp_path, *sides())
    ((outcome, message),) = near(facts, zoned("a", "b"))
    assert (outcome, message.startswith("prefill and decode exchange KV blocks, but")) == ("warn", True)
    block = zoned("a", "b", label="cloud.google.com/gce-topology-block")
    assert "no label" in get_skip_reason(topology.topology, facts, block, NO_SLICES)
    assert near(graph(tmp_path, *sides(AFFINITY)), zoned("a", "b")) == []


def test_blocks_matter_to_a_worker_that_spans_nodes(tmp_path: Path) -> None:
    facts = graph(tmp_path, rdma_worker(more=TWO_NODES))
    block = zoned("a", "b", label="cloud.google.com/gce-topology-block")
    assert [outcome for outcome, _ in near(facts, block)] == ["warn"]


def test_cliques_matter_where_nvlink_crosses_nodes(tmp_path: Path) -> None:
    cliques = zoned("cluster.1", "cluster.2", label="nvidia.com/gpu.clique")
    claim = "resourceClaims: [{name: compute-domain-channel, resourceClaimTemplateName: c}]"
    assert "no label" in get_skip_reason(
        topology.topology, graph(tmp_path, rdma_worker(more=TWO_NODES)), cliques, NO_SLICES
    )
    assert len(near(graph(tmp_path, rdma_worker(more=TWO_NODES, pod=claim)), cliques)) == 1
