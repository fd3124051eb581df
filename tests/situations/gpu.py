"""The area gpu."""

from __future__ import annotations

from tests import clusters
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

HEALTHY = {"gpu.allocatable": "pass", "gpu.nodes-present": "pass", "gpu.operator": "pass"}


def broken_device_plugin(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, allocatable={"nvidia.com/gpu": "0"})


def sick_gpu(cluster: ControlPlane) -> None:
    cluster.node("gpu-2", gpus=8, labels=clusters.GPU_LABELS, allocatable={"nvidia.com/gpu": "7"})


def operator_not_ready(cluster: ControlPlane) -> None:
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=clusters.OPERATOR, ready=False)


def operator_gone(cluster: ControlPlane) -> None:
    metadata = {"name": "gpu-operator-7d9f", "namespace": "gpu-operator"}
    cluster.delete({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})


def no_gpu_anywhere(cluster: ControlPlane) -> None:
    for name in clusters.GPU_NODES:
        cluster.delete(clusters.node(name))
    cluster.node("cpu-1")


def managed_gpus(cluster: ControlPlane) -> None:
    operator_gone(cluster)
    for name in clusters.GPU_NODES:
        cluster.delete(clusters.node(name))
    cluster.node("managed", gpus=8, labels={"cloud.google.com/gke-accelerator": "nvidia-h200-141gb"})


SITUATIONS = [
    Situation("broken device plugin", broken_device_plugin, {"gpu.allocatable": "fail"}, "gpu-2"),
    Situation("sick GPU", sick_gpu, {"gpu.allocatable": "warn"}, "gpu-2"),
    Situation("operator not ready", operator_not_ready, {"gpu.operator": "fail"}, "gpu-operator-7d9f"),
    Situation("operator gone", operator_gone, {"gpu.operator": "warn"}, "gpu-operator"),
    Situation(
        "no GPU anywhere",
        no_gpu_anywhere,
        {"gpu.nodes-present": "fail", "gpu.allocatable": "skip", "rdma.resources": "skip"},
        says="none of 1 nodes has a GPU label",
    ),
    Situation(
        "managed GPUs without an operator",
        managed_gpus,
        {"gpu.operator": "skip", "rdma.resources": "skip"},
    ),
]
