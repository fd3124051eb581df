"""Three GPU nodes and the GPU Operator, with what it runs on them."""

from typing import Any

from tests.clusters.objects import make_condition, make_namespace, make_object, make_workload, read_pairs
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("gpu-operator",)
GPU_NODES = ("gpu-1", "gpu-2", "gpu-3")
GPU_LABELS = read_pairs(
    """
    nvidia.com/gpu.present=true nvidia.com/gpu.product=NVIDIA-H200 nvidia.com/gpu.memory=143771
    nvidia.com/gpu.count=8 nvidia.com/gpu.family=hopper nvidia.com/gpu.compute.major=9
    nvidia.com/gpu.compute.minor=0 nvidia.com/cuda.driver-version.full=580.95.05
    nvidia.com/gpu.deploy.driver=true nvidia.com/gpu.deploy.device-plugin=true nvidia.com/mig.capable=true
    nvidia.com/mig.config=all-disabled nvidia.com/mig.config.state=success
    """
)
OPERATOR = {"app": "gpu-operator", "app.kubernetes.io/name": "gpu-operator"}
OPERANDS = {
    "nvidia-driver-daemonset": "driver",
    "nvidia-container-toolkit-daemonset": "container-toolkit",
    "nvidia-device-plugin-daemonset": "device-plugin",
    "nvidia-operator-validator": "operator-validator",
    "gpu-feature-discovery": "gpu-feature-discovery",
    "nvidia-dcgm-exporter": "dcgm-exporter",
}
IMAGES = {"nvidia-dcgm-exporter": "nvcr.io/nvidia/k8s/dcgm-exporter:4.2.3-4.3.0-ubuntu22.04"}


def cluster_policy(state: str = "ready", message: str = "", **driver: Any) -> Object:
    """The operator's resource, in a state that it would write."""
    ready = state == "ready"
    reason = "Reconciled" if ready else "OperandNotReady"
    parts = (
        "operator",
        "daemonsets",
        "toolkit",
        "devicePlugin",
        "dcgm",
        "gfd",
        "dcgmExporter",
        "nodeStatusExporter",
    )
    conditions = [
        make_condition(kind, str(holds), reason, message)
        for kind, holds in (("Ready", ready), ("Error", not ready))
    ]
    return make_object(
        "nvidia.com/v1 ClusterPolicy",
        "cluster-policy",
        spec={**{part: {} for part in parts}, "driver": driver},
        status={"state": state, "namespace": "gpu-operator", "conditions": conditions},
    )


def operand(name: str, *, ready: int = len(GPU_NODES), desired: int = len(GPU_NODES)) -> Object:
    """A DaemonSet of the operator, in the state that its controller would report."""
    image = IMAGES.get(name, "nvcr.io/nvidia/operand:1")
    selector = {f"nvidia.com/gpu.deploy.{OPERANDS[name]}": "true"}
    return make_workload(
        "DaemonSet", name, "gpu-operator", image, selector=selector, desired=desired, ready=ready
    )


def furnish(cluster: ControlPlane) -> None:
    for name in GPU_NODES:
        cluster.node(name, gpus=8, labels=GPU_LABELS)
    cluster.apply(make_namespace("gpu-operator"))
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=OPERATOR)
    cluster.apply(cluster_policy(), *(operand(name) for name in OPERANDS))
