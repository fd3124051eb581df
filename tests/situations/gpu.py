"""Situations of the checks of GPU nodes and the GPU Operator."""

from __future__ import annotations

from collections.abc import Callable

from tests import clusters
from tests.clusters import gpu
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

FP4 = "recipes/deepseek-r1/trtllm/disagg/wide_ep/gb200"
FP8 = "recipes/qwen3-32b-fp8/trtllm/agg"
TAINT = {"key": "dedicated", "value": "training", "effect": "NoSchedule"}
USUAL = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def relabel(name: str = "gpu-2", **labels: str) -> Callable[[ControlPlane], object]:
    """Give a node of the healthy cluster other labels, with dots written as __."""
    prefixed = {
        f"nvidia.com/{key.replace('__', '.').replace('_', '-')}": value for key, value in labels.items()
    }
    return lambda cluster: cluster.node(name, gpus=8, labels={**clusters.GPU_LABELS, **prefixed})


def everywhere(**labels: str) -> Callable[[ControlPlane], object]:
    def change(cluster: ControlPlane) -> None:
        for name in clusters.GPU_NODES:
            relabel(name, **labels)(cluster)

    return change


def broken_device_plugin(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, allocatable={"nvidia.com/gpu": "0"})


def sick_gpu(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, allocatable={"nvidia.com/gpu": "7"})


def not_ready(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, ready=False)


def cordoned(cluster: ControlPlane) -> None:
    cluster.kubectl("cordon", "gpu-2")


def tainted(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, taints=[USUAL, TAINT])


def usually_tainted(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, taints=[USUAL])


def operator_not_ready(cluster: ControlPlane) -> None:
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=clusters.OPERATOR, ready=False)


def operator_gone(cluster: ControlPlane) -> None:
    metadata = {"name": "gpu-operator-7d9f", "namespace": "gpu-operator"}
    cluster.delete({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})


def policy_not_ready(cluster: ControlPlane) -> None:
    cluster.apply(
        gpu.cluster_policy("notReady", "ClusterPolicy is not ready, states not ready: [state-driver]")
    )


def no_policy(cluster: ControlPlane) -> None:
    cluster.delete(gpu.cluster_policy())


def toolkit_not_ready(cluster: ControlPlane) -> None:
    cluster.apply(gpu.operand("nvidia-container-toolkit-daemonset", ready=2))


def driver_preinstalled(cluster: ControlPlane) -> None:
    cluster.apply(gpu.operand("nvidia-driver-daemonset", ready=0, desired=0))


def no_gpu_anywhere(cluster: ControlPlane) -> None:
    for name in clusters.GPU_NODES:
        cluster.delete(clusters.node(name))
    cluster.node("cpu-1")


def scaled_to_nothing(cluster: ControlPlane) -> None:
    """GKE or AKS, whose Cluster Autoscaler is only visible by its status ConfigMap."""
    no_gpu_anywhere(cluster)
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "cluster-autoscaler-status", "namespace": "kube-system"},
            "data": {"status": "autoscalerStatus: Running"},
        }
    )


def driver_not_installed(cluster: ControlPlane) -> None:
    """A node of AKS that lacks the device plugin."""
    cluster.node("aks-1", labels={"kubernetes.azure.com/accelerator": "nvidia"})


def being_removed(cluster: ControlPlane) -> None:
    taint = {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, taints=[taint])


def managed_gpus(cluster: ControlPlane) -> None:
    operator_gone(cluster)
    no_policy(cluster)
    for name in gpu.OPERANDS:
        cluster.delete(gpu.operand(name))
    for name in clusters.GPU_NODES:
        cluster.delete(clusters.node(name))
    cluster.node("managed", gpus=8, labels={"cloud.google.com/gke-accelerator": "nvidia-h200-141gb"})


def mixed_mig(cluster: ControlPlane) -> None:
    labels = {"mig.strategy": "mixed", "mig.config": "all-1g.18gb", "mig-1g.18gb.count": "56"}
    prefixed = {**clusters.GPU_LABELS, **{f"nvidia.com/{key}": value for key, value in labels.items()}}
    for name in clusters.GPU_NODES:
        cluster.node(name, labels=prefixed, capacity={"nvidia.com/mig-1g.18gb": "56"})


def mig_mismatch(cluster: ControlPlane) -> None:
    mixed_mig(cluster)
    labels = {"mig.strategy": "mixed", "mig.config": "all-1g.18gb", "mig-1g.18gb.count": "56"}
    prefixed = {**clusters.GPU_LABELS, **{f"nvidia.com/{key}": value for key, value in labels.items()}}
    cluster.node("gpu-2", labels=prefixed, capacity={"nvidia.com/mig-1g.18gb": "28"})


def device_class(name: str) -> dict[str, object]:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": {"selectors": [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]},
    }


def idle_class(cluster: ControlPlane) -> None:
    cluster.apply(device_class("gpu.nvidia.com"))


def gpus_by_claim(cluster: ControlPlane) -> None:
    """Nodes whose device plugin was replaced by the DRA driver, which describes their GPUs."""
    idle_class(cluster)
    cluster.apply(gpu.operand("nvidia-device-plugin-daemonset", ready=0, desired=0))
    attributes = {"productName": {"string": "NVIDIA H200"}, "driverVersion": {"version": "580.95.5"}}
    for name in clusters.GPU_NODES:
        cluster.node(name, labels={"nvidia.com/gpu.present": "true"})
        spec = {
            "driver": "gpu.nvidia.com",
            "nodeName": name,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": f"gpu-{number}", "attributes": attributes} for number in range(8)],
        }
        kind = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice"}
        cluster.apply({**kind, "metadata": {"name": name}, "spec": spec})


SITUATIONS = [
    Situation("broken device plugin", broken_device_plugin, {"gpu.allocatable": "fail"}, "gpu-2"),
    Situation("sick GPU", sick_gpu, {"gpu.allocatable": "warn"}, "gpu-2"),
    Situation("GPU node not ready", not_ready, {"gpu.nodes-ready": "fail"}, "gpu-2"),
    Situation("GPU node cordoned", cordoned, {"gpu.nodes-ready": "warn"}, "gpu-2"),
    Situation(
        "a taint that recipes do not tolerate",
        tainted,
        {"gpu.nodes-ready": "warn"},
        says="dedicated=training:NoSchedule",
    ),
    Situation("the usual taint", usually_tainted),
    Situation("operator not ready", operator_not_ready, {"gpu.operator": "fail"}, "gpu-operator-7d9f"),
    Situation("operator gone", operator_gone, {"gpu.operator": "warn"}, "gpu-operator"),
    Situation(
        "policy not ready", policy_not_ready, {"gpu.operator": "fail"}, "cluster-policy", "state-driver"
    ),
    Situation("no policy", no_policy, {"gpu.operator": "warn"}),
    Situation(
        "toolkit not ready",
        toolkit_not_ready,
        {"gpu.operands": "fail"},
        "nvidia-container-toolkit-daemonset",
        "ready on 2 of 3 nodes",
    ),
    Situation("driver in the node's image", driver_preinstalled),
    Situation(
        "no GPU anywhere",
        no_gpu_anywhere,
        {
            "gpu.nodes-present": "fail",
            "gpu.allocatable": "skip",
            "gpu.nodes-ready": "skip",
            "gpu.homogeneous": "skip",
            "driver.cuda-matrix": "skip",
            "rdma.resources": "skip",
        },
        says="none of 1 nodes has a GPU label",
    ),
    Situation(
        "GPU nodes scaled to zero",
        scaled_to_nothing,
        {
            "gpu.nodes-present": "warn",
            "gpu.allocatable": "skip",
            "gpu.nodes-ready": "skip",
            "gpu.homogeneous": "skip",
            "driver.cuda-matrix": "skip",
            "rdma.resources": "skip",
        },
        says="Cluster Autoscaler (kube-system) may add some on demand",
    ),
    Situation(
        "a node that Karpenter removes", being_removed, {"gpu.nodes-ready": "warn"}, "gpu-2", "Karpenter"
    ),
    Situation(
        "a cloud's GPU node without a device plugin",
        driver_not_installed,
        {"gpu.allocatable": "fail", "driver.cuda-matrix": "warn"},
        "aks-1",
    ),
    Situation(
        "managed GPUs without an operator",
        managed_gpus,
        {
            "gpu.operator": "skip",
            "gpu.operands": "skip",
            "gpu.homogeneous": "skip",
            "monitoring.dcgm-exporter": "skip",
            "driver.cuda-matrix": "skip",
            "rdma.resources": "skip",
        },
    ),
    Situation(
        "one node of another GPU",
        relabel(gpu__product="NVIDIA-A100-SXM4-80GB", gpu__compute__major="8"),
        {"gpu.homogeneous": "warn"},
        "gpu-2",
    ),
    Situation("one node of fewer GPUs", relabel(gpu__count="4"), {"gpu.homogeneous": "warn"}, "gpu-2"),
    Situation(
        "one node of another driver",
        relabel(cuda__driver_version__full="580.82.07"),
        {"gpu.homogeneous": "warn"},
        "gpu-2",
    ),
    Situation("MIG in mixed strategy", mixed_mig, {"gpu.mig": "pass"}),
    Situation("fewer MIG slices than labelled", mig_mismatch, {"gpu.mig": "warn"}, "gpu-2"),
    Situation(
        "MIG layout failed",
        relabel(mig__config="all-1g.18gb", mig__config__state="failed"),
        {"gpu.mig": "fail"},
        "gpu-2",
    ),
    Situation(
        "MIG layout pending",
        relabel(mig__config="all-1g.18gb", mig__config__state="pending"),
        {"gpu.mig": "warn"},
        "gpu-2",
    ),
    Situation(
        "a node that slices its GPUs by time",
        relabel(gpu__sharing_strategy="time-slicing", gpu__replicas="4"),
        {"gpu.sharing": "warn"},
        "gpu-2",
        "advertises each GPU 4 times (time-slicing)",
    ),
    Situation("GPUs by claim", gpus_by_claim, {"gpu.allocatable": "skip", "gpu.dra": "pass"}),
    Situation("a DeviceClass without devices", idle_class, {"gpu.dra": "warn"}, "gpu.nvidia.com"),
    Situation(
        "FP8 on Ampere",
        everywhere(gpu__product="NVIDIA-A100-SXM4-80GB", gpu__compute__major="8"),
        {"gpu.architecture": "fail"},
        says="trtllm needs compute capability 8.9 for FP8",
        recipe=FP8,
    ),
]
