"""Situations of the RDMA checks."""

from functools import partial

from tests import clusters
from tests.clusters import gpu, rdma
from tests.clusters.gpu import GPU_LABELS, GPU_NODES
from tests.controlplane.server import ControlPlane
from tests.situations import Change, Situation, applied, deleted, steps, with_recipe


def devices_left(count: str) -> Change:
    """One node has fewer devices to allocate than it has."""
    return lambda cluster: rdma.devices(cluster, "gpu-2", {"rdma/ib": "8"}, ib=count)


def offered(resource: str, amount: str) -> Change:
    """Every node has devices of this name."""
    return steps(*(partial(rdma.devices, node=name, capacity={resource: amount}) for name in GPU_NODES))


def plain_nodes(*names: str) -> Change:
    """Nodes without RDMA take the place of these."""

    def change(cluster: ControlPlane) -> None:
        for name in names:
            cluster.delete(clusters.node(name))
            cluster.node(name, gpus=8, labels=GPU_LABELS)

    return change


def other_kind_of_node(cluster: ControlPlane) -> None:
    cluster.node("small", gpus=1, labels={**GPU_LABELS, "nvidia.com/gpu.product": "NVIDIA-L40S"})


def two_zones(cluster: ControlPlane) -> None:
    for number, name in enumerate(GPU_NODES):
        zone = {"topology.kubernetes.io/zone": "us-east-1a" if number else "us-east-1b"}
        cluster.node(name, gpus=8, labels={**GPU_LABELS, **zone})


NO_OPERATOR = deleted(rdma.nic_policy(), rdma.plugin(), rdma.controller())
NO_RDMA = steps(plain_nodes(*GPU_NODES), NO_OPERATOR)
SKIPPED = {"rdma.gpudirect": "skip", "rdma.resources": "skip", "rdma.operator": "skip"}
NEEDED = {"rdma.required-by-recipe": "fail", "capacity.fits": "fail"}
SITUATIONS = [
    Situation("RDMA plugin down", devices_left("0"), {"rdma.resources": "fail"}, "gpu-2", "8 rdma/ib, 0"),
    Situation("sick RDMA device", devices_left("7"), {"rdma.resources": "warn"}, "gpu-2", "8 rdma/ib, 7"),
    Situation(
        "a node without RDMA among others",
        plain_nodes("gpu-3"),
        {"rdma.resources": "warn"},
        "gpu-3",
        "0 rdma/ib",
    ),
    Situation("a node of another kind without RDMA", other_kind_of_node, {"gpu.homogeneous": "warn"}),
    Situation("no RDMA at all", NO_RDMA, SKIPPED, says="no recipe"),
    Situation(
        "NIC driver not ready",
        applied(rdma.nic_policy(state="notReady", OFED=("notReady", "driver pods are not ready"))),
        {"rdma.operator": "fail"},
        "nic-cluster-policy",
        "driver pods are not ready",
    ),
    Situation(
        "RDMA plugin not ready",
        applied(rdma.plugin(ready=2)),
        {"rdma.operator": "fail"},
        "rdma-shared-dp-ds",
        "2 of 3 nodes",
    ),
    Situation(
        "Network Operator not ready",
        applied(rdma.controller(ready=0)),
        {"rdma.operator": "fail"},
        "network-operator",
    ),
    Situation(
        "Network Operator gone", deleted(rdma.controller()), {"rdma.operator": "warn"}, "network-operator"
    ),
    Situation(
        "a policy that is not looked at",
        applied(rdma.nic_policy("my-policy", "ignore")),
        {"rdma.operator": "warn"},
        "my-policy",
    ),
    Situation(
        "nvidia-peermem",
        applied(gpu.cluster_policy(enabled=True, rdma={"enabled": True})),
        {"rdma.gpudirect": "pass"},
    ),
    Situation(
        "proprietary modules",
        applied(gpu.cluster_policy(enabled=True, kernelModuleType="proprietary")),
        {"rdma.gpudirect": "warn"},
        "cluster-policy",
    ),
    *with_recipe(
        "recipes/qwen3-32b/vllm/disagg-kv-router",
        Situation(
            "a recipe that asks for RDMA which no node offers",
            NO_RDMA,
            NEEDED | {"rdma.gpudirect": "skip", "rdma.resources": "skip", "rdma.operator": "fail"},
            says="2 rdma/ib, ",
        ),
        Situation(
            "a recipe that asks for RDMA by another name",
            steps(NO_RDMA, offered("rdma/shared_ib", "1k")),
            NEEDED | {"rdma.operator": "skip"},
            says="rdma/shared_ib",
        ),
        Situation(
            "a recipe that asks for more RDMA than a node offers",
            offered("rdma/ib", "1"),
            NEEDED,
            says="2 rdma/ib",
        ),
    ),
    *with_recipe(
        "recipes/llama-3-70b/vllm/disagg-single-node",
        Situation("a recipe that stays on one node", NO_RDMA, SKIPPED),
    ),
    *with_recipe(
        "recipes/deepseek-r1/sglang/disagg-16gpu",
        Situation(
            "a recipe that spans nodes of two zones",
            two_zones,
            {"rdma.topology": "warn"},
            says="topology.kubernetes.io/zone",
        ),
    ),
]
