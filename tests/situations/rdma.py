"""The area rdma."""

from __future__ import annotations

from typing import Any

from tests import clusters
from tests.clusters import rdma
from tests.clusters.gpu import GPU_LABELS, GPU_NODES
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

SPANS_NODES = "recipes/deepseek-r1/sglang/disagg-16gpu"
DISAGGREGATED = "recipes/qwen3-32b/vllm/disagg-kv-router"
ONE_NODE = "recipes/llama-3-70b/vllm/disagg-single-node"


def plugin_down(cluster: ControlPlane) -> None:
    rdma.devices(cluster, "gpu-2", {"rdma/ib": "8"}, ib="0")


def sick_device(cluster: ControlPlane) -> None:
    rdma.devices(cluster, "gpu-2", {"rdma/ib": "8"}, ib="7")


def odd_node(cluster: ControlPlane) -> None:
    cluster.delete(clusters.node("gpu-3"))
    cluster.node("gpu-3", gpus=8, labels=GPU_LABELS)


def other_kind_of_node(cluster: ControlPlane) -> None:
    cluster.node("small", gpus=1, labels={**GPU_LABELS, "nvidia.com/gpu.product": "NVIDIA-L40S"})


def no_rdma(cluster: ControlPlane) -> None:
    for name in GPU_NODES:
        cluster.delete(clusters.node(name))
        cluster.node(name, gpus=8, labels=GPU_LABELS)
    cluster.delete(rdma.nic_policy())
    cluster.delete(rdma.plugin())
    cluster.delete(rdma.controller())


def other_name(cluster: ControlPlane) -> None:
    no_rdma(cluster)
    for name in GPU_NODES:
        rdma.devices(cluster, name, {"rdma/shared_ib": "1k"})


def too_few(cluster: ControlPlane) -> None:
    for name in GPU_NODES:
        rdma.devices(cluster, name, {"rdma/ib": "1"})


def component_broken(cluster: ControlPlane) -> None:
    cluster.apply(rdma.nic_policy(state="notReady", OFED=("notReady", "driver pods are not ready")))


def daemon_not_ready(cluster: ControlPlane) -> None:
    cluster.apply(rdma.plugin(ready=2))


def controller_not_ready(cluster: ControlPlane) -> None:
    cluster.apply(rdma.controller(ready=0))


def controller_gone(cluster: ControlPlane) -> None:
    cluster.delete(rdma.controller())


def second_policy(cluster: ControlPlane) -> None:
    cluster.apply(rdma.nic_policy("my-policy", "ignore"))


def gpu_driver(**driver: Any) -> dict[str, Any]:
    """A ClusterPolicy with what its type requires."""
    required = ("daemonsets", "dcgm", "dcgmExporter", "devicePlugin", "gfd", "nodeStatusExporter", "toolkit")
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy"},
        "spec": {
            **{key: {} for key in required},
            "operator": {"defaultRuntime": "containerd"},
            "driver": driver,
        },
        "status": {"state": "ready", "namespace": "gpu-operator"},
    }


def peermem(cluster: ControlPlane) -> None:
    cluster.apply(gpu_driver(enabled=True, rdma={"enabled": True}))


def proprietary_modules(cluster: ControlPlane) -> None:
    cluster.apply(gpu_driver(enabled=True, kernelModuleType="proprietary"))


def two_zones(cluster: ControlPlane) -> None:
    for number, name in enumerate(GPU_NODES):
        zone = {"topology.kubernetes.io/zone": "us-east-1a" if number else "us-east-1b"}
        cluster.node(name, gpus=8, labels={**GPU_LABELS, **zone})


SITUATIONS = [
    Situation("RDMA plugin down", plugin_down, {"rdma.resources": "fail"}, "gpu-2", "none to allocate"),
    Situation("sick RDMA device", sick_device, {"rdma.resources": "warn"}, "gpu-2", "7 of 8 rdma/ib"),
    Situation("a node without RDMA among others", odd_node, {"rdma.resources": "warn"}, "gpu-3", "offers no"),
    Situation("a node of another kind without RDMA", other_kind_of_node, {"gpu.homogeneous": "warn"}),
    Situation(
        "no RDMA at all",
        no_rdma,
        {"rdma.resources": "skip", "rdma.operator": "skip"},
        says="no recipe asks for RDMA",
    ),
    Situation(
        "NIC driver not ready",
        component_broken,
        {"rdma.operator": "fail"},
        "nic-cluster-policy",
        "state-OFED is notReady: driver pods are not ready",
    ),
    Situation(
        "RDMA plugin not ready",
        daemon_not_ready,
        {"rdma.operator": "fail"},
        "rdma-shared-dp-ds",
        "on 2 of 3 nodes",
    ),
    Situation(
        "Network Operator not ready", controller_not_ready, {"rdma.operator": "fail"}, "network-operator"
    ),
    Situation("Network Operator gone", controller_gone, {"rdma.operator": "warn"}, "network-operator"),
    Situation("a policy that is not looked at", second_policy, {"rdma.operator": "warn"}, "my-policy"),
    Situation("nvidia-peermem", peermem, {"rdma.gpudirect": "pass"}),
    Situation("proprietary modules", proprietary_modules, {"rdma.gpudirect": "warn"}, "cluster-policy"),
    Situation(
        "a recipe that asks for RDMA which no node offers",
        no_rdma,
        {
            "rdma.resources": "skip",
            "rdma.operator": "fail",
            "rdma.required-by-recipe": "fail",
            "capacity.fits": "fail",
        },
        says="asks for 2 rdma/ib, which no GPU node offers",
        recipe=DISAGGREGATED,
    ),
    Situation(
        "a recipe that asks for RDMA by another name",
        other_name,
        {"rdma.operator": "skip", "rdma.required-by-recipe": "fail", "capacity.fits": "fail"},
        says="they offer rdma/shared_ib",
        recipe=DISAGGREGATED,
    ),
    Situation(
        "a recipe that asks for more RDMA than a node offers",
        too_few,
        {"rdma.required-by-recipe": "fail", "capacity.fits": "fail"},
        says="asks for 2 rdma/ib on one node; of the nodes with enough GPUs the best offers 1",
        recipe=DISAGGREGATED,
    ),
    Situation(
        "a recipe that stays on one node",
        no_rdma,
        {"rdma.resources": "skip", "rdma.operator": "skip"},
        recipe=ONE_NODE,
    ),
    Situation(
        "a recipe that spans nodes of two zones",
        two_zones,
        {"rdma.topology": "warn"},
        says="2 domains of topology.kubernetes.io/zone",
        recipe=SPANS_NODES,
    ),
]
