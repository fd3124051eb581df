"""Reads nodes, and the devices that DRA drivers offer on them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, AllocatedDevice, Device, Node, Nodes, ResourceSlice, ResourceSlices, Taint
from dynocheck.kube import Cluster, Forbidden
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition, make_conditions
from dynocheck.probes._listing import list_first

_KEPT_ATTRIBUTES = ("productName", "driverVersion", "cudaComputeCapability")
_RDMA = "dra.net/rdma"
_EXTENDED = "resource.kubernetes.io/extended-resource-claim"


class _Taint(msgspec.Struct):
    key: str
    effect: str
    value: str = ""


class _Spec(msgspec.Struct):
    unschedulable: bool = False
    taints: list[_Taint] | None = None


class _Info(msgspec.Struct, rename="camel"):
    architecture: str = ""
    kernel_version: str = ""
    kubelet_version: str = ""


class _Status(msgspec.Struct, rename="camel"):
    allocatable: dict[str, str] | None = None
    capacity: dict[str, str] | None = None
    conditions: list[StatusCondition] | None = None
    node_info: _Info = msgspec.field(default_factory=_Info)


class _Node(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Attribute(msgspec.Struct):
    string: str | None = None
    version: str | None = None
    flag: bool | None = msgspec.field(default=None, name="bool")
    number: int | None = msgspec.field(default=None, name="int")


class _Capacity(msgspec.Struct):
    value: str = ""


class _DeviceSpec(msgspec.Struct, rename="camel"):
    """A device; what the last fields state is not modelled."""

    attributes: dict[str, _Attribute] | None = None
    capacity: dict[str, _Capacity] | None = None
    taints: list[_Taint] | None = None
    node_name: str | None = None
    node_selector: dict[str, Any] | None = None
    all_nodes: bool | None = None
    consumes_counters: list[Any] | None = None
    allow_multiple_allocations: bool | None = None
    binds_to_node: bool | None = None
    binding_conditions: list[str] | None = None

    @property
    def is_partial(self) -> bool:
        return bool(
            self.node_name
            or self.node_selector
            or self.all_nodes
            or self.consumes_counters
            or self.allow_multiple_allocations
            or self.binds_to_node
            or self.binding_conditions
        )


class _Device(_DeviceSpec):
    name: str = ""
    basic: _DeviceSpec | None = None  # contains the fields in v1beta1

    @property
    def all_attributes(self) -> dict[str, _Attribute]:
        return self.attributes or (self.basic.attributes if self.basic else None) or {}

    @property
    def rdma(self) -> bool:
        """Whether DRANET marks it as an RDMA device; attribute names may omit the driver's domain."""
        attributes = self.all_attributes.items()
        return any(_RDMA in (name, f"dra.net/{name}") and value.flag for name, value in attributes)


class _Pool(msgspec.Struct, rename="camel"):
    name: str = ""
    generation: int = 0
    resource_slice_count: int = 1


class _SliceSpec(msgspec.Struct, rename="camel"):
    driver: str = ""
    pool: _Pool = msgspec.field(default_factory=_Pool)
    node_name: str | None = None
    devices: list[_Device] | None = None
    node_selector: dict[str, Any] | None = None
    all_nodes: bool | None = None
    per_device_node_selection: bool | None = None
    shared_counters: list[Any] | None = None


class _Slice(msgspec.Struct):
    metadata: ObjectMeta
    spec: _SliceSpec


class _Result(msgspec.Struct, rename="camel"):
    driver: str = ""
    pool: str = ""
    device: str = ""
    admin_access: bool | None = None


class _Results(msgspec.Struct):
    results: list[_Result] | None = None


class _Allocation(msgspec.Struct):
    devices: _Results = msgspec.field(default_factory=_Results)


class _Consumer(msgspec.Struct):
    resource: str = ""
    name: str = ""


class _ClaimStatus(msgspec.Struct, rename="camel"):
    allocation: _Allocation | None = None
    reserved_for: list[_Consumer] | None = None


class _Claim(msgspec.Struct):
    metadata: ObjectMeta
    status: _ClaimStatus = msgspec.field(default_factory=_ClaimStatus)

    @property
    def devices(self) -> Iterator[AllocatedDevice]:
        """The devices that it holds."""
        meta, allocation = self.metadata, self.status.allocation
        pods = tuple(each.name for each in self.status.reserved_for or () if each.resource == "pods")
        extended = (meta.annotations or {}).get(_EXTENDED) == "true"
        for each in (allocation.devices.results if allocation else None) or ():
            if not each.admin_access:
                yield AllocatedDevice(
                    each.driver, each.pool, each.device, meta.namespace, pods, extended, meta.name
                )


@probe(access=[Access("list", "nodes")])
def nodes(cluster: Cluster) -> Nodes:
    return Nodes(tuple(_convert_node(node) for node in cluster.items("/api/v1/nodes", _Node)))


def _convert_node(node: _Node) -> Node:
    meta, spec, status = node.metadata, node.spec, node.status
    return Node(
        name=meta.name,
        labels=meta.labels or {},
        allocatable=status.allocatable or {},
        capacity=status.capacity or {},
        taints=tuple(Taint(t.key, t.effect, t.value) for t in spec.taints or ()),
        conditions=make_conditions(status.conditions),
        unschedulable=spec.unschedulable,
        architecture=status.node_info.architecture,
        kernel=status.node_info.kernel_version,
        kubelet=status.node_info.kubelet_version,
    )


@probe(access=[Access("list", name, "resource.k8s.io") for name in ("resourceslices", "resourceclaims")])
def resource_slices(cluster: Cluster) -> ResourceSlices:
    """The API is stable since Kubernetes 1.34; earlier versions differ little in the fields that are read."""
    slices = list_first(cluster, _list_paths("resourceslices"), _Slice)
    if slices is None:
        return ResourceSlices(served=False)
    newest = _filter_newest(slices)
    pools = Counter((item.spec.driver, item.spec.pool.name) for item in newest)
    claims = _list_claims(cluster)
    return ResourceSlices(
        tuple(_convert_slice(item, pools[item.spec.driver, item.spec.pool.name]) for item in newest),
        allocated=None if claims is None else tuple(device for claim in claims for device in claim.devices),
    )


def _list_paths(plural: str) -> Iterator[str]:
    return (f"/apis/resource.k8s.io/{version}/{plural}" for version in ("v1", "v1beta2", "v1beta1"))


def _list_claims(cluster: Cluster) -> list[_Claim] | None:
    """Every ResourceClaim; None if the user may not read them."""
    try:
        return list_first(cluster, _list_paths("resourceclaims"), _Claim)
    except Forbidden:
        return None


def _filter_newest(slices: list[_Slice]) -> list[_Slice]:
    """The slices of the newest generation of each pool; drivers replace older ones."""
    generations: dict[tuple[str, str], int] = {}
    for item in slices:
        pool = item.spec.driver, item.spec.pool.name
        generations[pool] = max(item.spec.pool.generation, generations.get(pool, 0))
    return [s for s in slices if s.spec.pool.generation == generations[s.spec.driver, s.spec.pool.name]]


def _convert_slice(resource_slice: _Slice, pool_size: int) -> ResourceSlice:
    """The fact of a slice whose pool has this many slices."""
    spec, devices = resource_slice.spec, resource_slice.spec.devices or []
    return ResourceSlice(
        name=resource_slice.metadata.name,
        driver=resource_slice.spec.driver,
        node=resource_slice.spec.node_name,
        devices=len(devices),
        attributes=next(filter(None, map(_filter_attributes, devices)), {}),
        rdma=sum(device.rdma for device in devices),
        pool=spec.pool.name,
        offered=tuple(map(_convert_device, devices)) if pool_size == spec.pool.resource_slice_count else (),
        is_partial=bool(spec.per_device_node_selection or spec.shared_counters)
        or any((device.basic or device).is_partial for device in devices),
    )


def _convert_device(device: _Device) -> Device:
    fields = device.basic or device
    return Device(
        name=device.name,
        attributes={name: _convert_attribute(value) for name, value in (fields.attributes or {}).items()},
        capacity={name: capacity.value for name, capacity in (fields.capacity or {}).items()},
        taints=tuple(Taint(t.key, t.effect, t.value) for t in fields.taints or ()),
    )


def _convert_attribute(value: _Attribute) -> dict[str, Any]:
    typed = {"string": value.string, "version": value.version, "bool": value.flag, "int": value.number}
    return {name: stated for name, stated in typed.items() if stated is not None}


def _filter_attributes(device: _Device) -> dict[str, str]:
    attributes = device.all_attributes.items()
    values = {name.rpartition("/")[2]: value.string or value.version or "" for name, value in attributes}
    return {name: values[name] for name in _KEPT_ATTRIBUTES if values.get(name)}
