"""One default class of a shared file system."""

from __future__ import annotations

from typing import Any

from tests.controlplane.server import ControlPlane


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


def furnish(cluster: ControlPlane) -> None:
    cluster.apply(storage_class())
