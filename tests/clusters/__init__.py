"""A cluster that is fit for Dynamo, made on the test control plane, to be spoilt one thing at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.controlplane.server import ControlPlane

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


def storage_class(
    name: str = "shared", provisioner: str = "nfs.csi.k8s.io", *, default: bool = True
) -> dict[str, Any]:
    """A StorageClass as its driver's guide has it."""
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": provisioner,
    }


def crd(name: str) -> dict[str, Any]:
    """What names a CustomResourceDefinition, to be deleted."""
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    return {**kind, "metadata": {"name": name}}


def node(name: str) -> dict[str, Any]:
    """What names a node, to be deleted."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


def define(cluster: ControlPlane, crds: Path) -> None:
    """Define the types of Dynamo, of Gateway API and of its inference extension."""
    cluster.load_crds(crds / "dynamo", crds / "gateway-api" / "v1.5.1", crds / "gaie" / "v1.2.1")


def furnish(cluster: ControlPlane) -> None:
    """Add three GPU nodes, one default class of a shared file system, and a GPU Operator."""
    cluster.apply(storage_class())
    for name in GPU_NODES:
        cluster.node(name, gpus=8, labels=GPU_LABELS)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpu-operator"}}
    cluster.apply(namespace)
    cluster.pod("gpu-operator-7d9f", "gpu-operator", node="gpu-1", labels=OPERATOR)
