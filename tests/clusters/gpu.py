"""Three GPU nodes and the GPU Operator."""

from __future__ import annotations

from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ()
GPU_NODES = ("gpu-1", "gpu-2", "gpu-3")
GPU_LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "NVIDIA-H200",
    "nvidia.com/gpu.memory": "143771",
    "nvidia.com/cuda.driver-version.full": "580.95.05",
    "nvidia.com/gpu.deploy.driver": "true",
    "nvidia.com/gpu.deploy.device-plugin": "true",
}
OPERATOR = {"app": "gpu-operator", "app.kubernetes.io/name": "gpu-operator"}


def furnish(cluster: ControlPlane) -> None:
    for name in GPU_NODES:
        cluster.node(name, gpus=8, labels=GPU_LABELS)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpu-operator"}})
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=OPERATOR)
