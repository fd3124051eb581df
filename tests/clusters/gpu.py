"""Three GPU nodes and the GPU Operator, with what it runs on them."""

from __future__ import annotations

from typing import Any

from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("gpu-operator",)
GPU_NODES = ("gpu-1", "gpu-2", "gpu-3")
GPU_LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.product": "NVIDIA-H200",
    "nvidia.com/gpu.memory": "143771",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.family": "hopper",
    "nvidia.com/gpu.compute.major": "9",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/cuda.driver-version.full": "580.95.05",
    "nvidia.com/gpu.deploy.driver": "true",
    "nvidia.com/gpu.deploy.device-plugin": "true",
    "nvidia.com/mig.capable": "true",
    "nvidia.com/mig.config": "all-disabled",
    "nvidia.com/mig.config.state": "success",
}
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


def cluster_policy(state: str = "ready", message: str = "") -> dict[str, Any]:
    """The operator's resource, in a state that it would write."""
    conditions = [
        {
            "type": kind,
            "status": str(holds),
            "reason": "Reconciled" if state == "ready" else "OperandNotReady",
            "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, holds in (("Ready", state == "ready"), ("Error", state != "ready"))
    ]
    return {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy"},
        "spec": {
            part: {}
            for part in ("operator", "daemonsets", "driver", "toolkit", "devicePlugin", "dcgm", "gfd")
        }
        | {"dcgmExporter": {}, "nodeStatusExporter": {}},
        "status": {"state": state, "conditions": conditions},
    }


def operand(name: str, *, ready: int = len(GPU_NODES), desired: int = len(GPU_NODES)) -> dict[str, Any]:
    """A DaemonSet of the operator, in the state that its controller would report."""
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "gpu-operator", "labels": {"app": name}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "nodeSelector": {f"nvidia.com/gpu.deploy.{OPERANDS[name]}": "true"},
                    "containers": [{"name": name, "image": IMAGES.get(name, "nvcr.io/nvidia/operand:1")}],
                },
            },
        },
        "status": {
            "desiredNumberScheduled": desired,
            "currentNumberScheduled": desired,
            "numberMisscheduled": 0,
            "numberReady": ready,
            "updatedNumberScheduled": desired,
            "observedGeneration": 1,
        },
    }


def furnish(cluster: ControlPlane) -> None:
    for name in GPU_NODES:
        cluster.node(name, gpus=8, labels=GPU_LABELS)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpu-operator"}})
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=OPERATOR)
    cluster.apply(cluster_policy(), *(operand(name) for name in OPERANDS))
