"""Probes of StorageClasses, CSI drivers and volumes."""

from functools import partial
from typing import Any

import msgspec

from dynocheck import probe
from dynocheck.facts import (
    Access,
    CsiDrivers,
    CsiNode,
    NodeDriver,
    PersistentVolume,
    PersistentVolumes,
    StorageCapacity,
    StorageClass,
    StorageClasses,
)
from dynocheck.kube import Cluster, Forbidden, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta

_DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


class _LabelValues(msgspec.Struct):
    key: str = ""
    values: list[str] | None = None


class _Topology(msgspec.Struct, rename="camel"):
    match_label_expressions: list[_LabelValues] | None = None


class _Class(msgspec.Struct, rename="camel"):
    metadata: ObjectMeta
    provisioner: str
    parameters: dict[str, str] | None = None
    volume_binding_mode: str = "Immediate"
    reclaim_policy: str = "Delete"
    allow_volume_expansion: bool = False
    allowed_topologies: list[_Topology] | None = None

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones of `allowedTopologies`; empty where any zone is allowed."""
        labels = (label for t in self.allowed_topologies or () for label in t.match_label_expressions or ())
        return tuple(value for label in labels if label.key.endswith("zone") for value in label.values or ())


class _DriverSpec(msgspec.Struct, rename="camel"):
    attach_required: bool | None = None
    storage_capacity: bool | None = None


class _Driver(msgspec.Struct):
    metadata: ObjectMeta
    spec: _DriverSpec = msgspec.field(default_factory=_DriverSpec)


class _Capacity(msgspec.Struct, rename="camel"):
    storage_class_name: str = ""
    capacity: str | int | float | None = None
    maximum_volume_size: str | int | float | None = None
    node_topology: dict[str, Any] | None = None


class _Allocatable(msgspec.Struct):
    count: int | None = None


class _NodeDriver(msgspec.Struct, rename="camel"):
    name: str
    topology_keys: list[str] | None = None
    allocatable: _Allocatable | None = None


class _NodeSpec(msgspec.Struct):
    drivers: list[_NodeDriver] | None = None


class _Node(msgspec.Struct):
    metadata: ObjectMeta
    spec: _NodeSpec


class _Claim(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _Terms(msgspec.Struct, rename="camel"):
    node_selector_terms: list[dict[str, Any]] | None = None


class _Affinity(msgspec.Struct):
    required: _Terms | None = None


class _Source(msgspec.Struct):
    driver: str = ""


class _VolumeSpec(msgspec.Struct, rename="camel"):
    storage_class_name: str = ""
    access_modes: list[str] | None = None
    capacity: dict[str, str] | None = None
    claim_ref: _Claim | None = None
    csi: _Source | None = None
    node_affinity: _Affinity | None = None


class _VolumeStatus(msgspec.Struct):
    phase: str = ""


class _Volume(msgspec.Struct):
    metadata: ObjectMeta
    spec: _VolumeSpec
    status: _VolumeStatus = msgspec.field(default_factory=_VolumeStatus)


@probe(access=[Access("list", "storageclasses", "storage.k8s.io")])
def storage_classes(cluster: Cluster) -> StorageClasses:
    return StorageClasses(
        tuple(
            StorageClass(
                name=item.metadata.name,
                provisioner=item.provisioner,
                is_default=any(
                    (item.metadata.annotations or {}).get(key) == "true" for key in _DEFAULT_ANNOTATIONS
                ),
                created=item.metadata.creation_timestamp or "",
                parameters=item.parameters or {},
                binding_mode=item.volume_binding_mode,
                reclaim_policy=item.reclaim_policy,
                allows_expansion=item.allow_volume_expansion,
                zones=item.zones,
            )
            for item in cluster.items("/apis/storage.k8s.io/v1/storageclasses", _Class)
        )
    )


@probe(
    access=[
        Access("list", resource, "storage.k8s.io")
        for resource in ("csidrivers", "csinodes", "csistoragecapacities")
    ]
)
def csi_drivers(cluster: Cluster) -> CsiDrivers:
    calls: list[Any] = [
        partial(cluster.items, "/apis/storage.k8s.io/v1/csidrivers", _Driver),
        partial(cluster.items, "/apis/storage.k8s.io/v1/csinodes", _Node),
        partial(_list_capacities, cluster),
    ]
    drivers, nodes, capacities = run_parallel(calls)
    return CsiDrivers(
        names=tuple(driver.metadata.name for driver in drivers),
        nodes=tuple(CsiNode(node.metadata.name, _list_drivers(node)) for node in nodes),
        unattached=tuple(each.metadata.name for each in drivers if each.spec.attach_required is False),
        measured=tuple(each.metadata.name for each in drivers if each.spec.storage_capacity),
        capacities=capacities,
    )


def _list_drivers(node: _Node) -> tuple[NodeDriver, ...]:
    return tuple(
        NodeDriver(d.name, tuple(d.topology_keys or ()), d.allocatable.count if d.allocatable else None)
        for d in node.spec.drivers or ()
    )


def _list_capacities(cluster: Cluster) -> tuple[StorageCapacity, ...] | None:
    """Every CSIStorageCapacity; None where they may not be listed."""
    try:
        found = cluster.items("/apis/storage.k8s.io/v1/csistoragecapacities", _Capacity)
    except Forbidden:
        return None
    return tuple(_convert_capacity(each) for each in found)


def _convert_capacity(each: _Capacity) -> StorageCapacity:
    size = each.capacity if each.maximum_volume_size is None else each.maximum_volume_size
    return StorageCapacity(each.storage_class_name, "" if size is None else str(size), each.node_topology)


@probe(access=[Access("list", "persistentvolumes")])
def persistent_volumes(cluster: Cluster) -> PersistentVolumes:
    return PersistentVolumes(
        tuple(cluster.list_mapped("/api/v1/persistentvolumes", _Volume, _convert_volume))
    )


def _convert_volume(volume: _Volume) -> PersistentVolume:
    spec, claim = volume.spec, volume.spec.claim_ref
    required = spec.node_affinity.required if spec.node_affinity else None
    return PersistentVolume(
        name=volume.metadata.name,
        storage_class=spec.storage_class_name,
        access_modes=tuple(spec.access_modes or ()),
        capacity=(spec.capacity or {}).get("storage", ""),
        phase=volume.status.phase,
        claim=f"{claim.namespace}/{claim.name}" if claim else "",
        driver=spec.csi.driver if spec.csi else "",
        node_terms=tuple((required.node_selector_terms if required else None) or ()),
    )
