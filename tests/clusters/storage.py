"""One default class of a shared file system, its driver on every GPU node, and a claim of it."""

from __future__ import annotations

from typing import Any

from tests.clusters.gpu import GPU_NODES
from tests.controlplane.server import ControlPlane

DRIVER = "nfs.csi.k8s.io"


def storage_class(
    name: str = "shared",
    provisioner: str = DRIVER,
    *,
    default: bool = True,
    binding: str = "Immediate",
    **fields: Any,
) -> dict[str, Any]:
    """A StorageClass as its driver's guide has it."""
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": provisioner,
        "volumeBindingMode": binding,
        **fields,
    }


def csi_driver(name: str = DRIVER) -> dict[str, Any]:
    """A CSIDriver as its driver's guide has it."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": name},
        "spec": {"attachRequired": False},
    }


def csi_node(name: str, *drivers: str, keys: list[str] | None = None) -> dict[str, Any]:
    """What a node's kubelet says of its drivers."""
    listed = [{"name": each, "nodeID": name, "topologyKeys": keys} for each in drivers]
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSINode",
        "metadata": {"name": name},
        "spec": {"drivers": listed},
    }


def claim(
    name: str = "compilation-cache",
    namespace: str = "default",
    *,
    storage_class: str | None = "shared",
    mode: str = "ReadWriteMany",
    phase: str = "Bound",
    size: str = "100Gi",
) -> dict[str, Any]:
    """A claim with the status that the controller of volumes would write."""
    spec: dict[str, Any] = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    if phase != "Pending":
        spec["volumeName"] = f"pvc-{name}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
        "status": {"phase": phase},
    }


def claim_event(
    claim: dict[str, Any],
    reason: str,
    message: str,
    *,
    kind: str = "Warning",
    last: str = "2026-11-01T10:00:00Z",
) -> dict[str, Any]:
    """What a provisioner or the controller of volumes tells of a claim that the API server has given."""
    meta = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{reason.lower()}", "namespace": meta["namespace"]},
        "involvedObject": {
            "kind": "PersistentVolumeClaim",
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "lastTimestamp": last,
    }


def furnish(cluster: ControlPlane) -> None:
    cluster.apply(storage_class(), csi_driver(), *(csi_node(name, DRIVER) for name in GPU_NODES), claim())
