"""One default class of a shared file system, its driver on every GPU node, and a claim of it."""

from typing import Any

from tests.clusters.gpu import GPU_NODES
from tests.clusters.objects import make_object
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

DRIVER = "nfs.csi.k8s.io"
STORAGE = "storage.k8s.io/v1"


def storage_class(
    name: str = "shared",
    provisioner: str = DRIVER,
    *,
    default: bool = True,
    binding: str = "Immediate",
    **fields: Any,
) -> Object:
    """A StorageClass as its driver's guide has it."""
    fields.setdefault(
        "annotations", {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    )
    fields |= {"provisioner": provisioner, "volumeBindingMode": binding}
    return make_object(f"{STORAGE} StorageClass", name, **fields)


def csi_driver(name: str = DRIVER) -> Object:
    """A CSIDriver as its driver's guide has it."""
    return make_object(f"{STORAGE} CSIDriver", name, spec={"attachRequired": False})


def csi_node(name: str, *drivers: str, keys: list[str] | None = None) -> Object:
    """What a node's kubelet says of its drivers."""
    listed = [{"name": each, "nodeID": name, "topologyKeys": keys} for each in drivers]
    return make_object(f"{STORAGE} CSINode", name, spec={"drivers": listed})


def claim(
    name: str = "compilation-cache",
    namespace: str = "default",
    *,
    storage_class: str | None = "shared",
    mode: str = "ReadWriteMany",
    phase: str = "Bound",
    size: str = "100Gi",
) -> Object:
    """A claim with the status that the controller of volumes would write."""
    spec: dict[str, Any] = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
    spec |= {} if storage_class is None else {"storageClassName": storage_class}
    spec |= {} if phase == "Pending" else {"volumeName": f"pvc-{name}"}
    return make_object("PersistentVolumeClaim", name, namespace, spec=spec, status={"phase": phase})


def claim_event(
    claim: Object, reason: str, message: str, *, kind: str = "Warning", last: str = "2026-11-01T10:00:00Z"
) -> Object:
    """What a provisioner or the controller of volumes tells of a claim that the API server has given."""
    meta = {key: claim["metadata"][key] for key in ("name", "namespace", "uid")}
    fields = {"involvedObject": {"kind": "PersistentVolumeClaim", **meta}, "lastTimestamp": last}
    fields |= {"type": kind, "reason": reason, "message": message}
    return make_object("Event", f"{meta['name']}.{reason.lower()}", meta["namespace"], **fields)


def furnish(cluster: ControlPlane) -> None:
    cluster.apply(storage_class(), csi_driver(), *(csi_node(name, DRIVER) for name in GPU_NODES), claim())
