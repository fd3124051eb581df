"""Nodes, and what DRA drivers offer on them."""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, Condition, Node, Nodes, ResourceSlice, ResourceSlices, Taint
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.probes._k8s_types import StatusCondition as WireCondition

_KEPT_ATTRIBUTES = ("productName", "driverVersion", "cudaComputeCapability")
_RDMA = "dra.net/rdma"


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


class _Status(msgspec.Struct, rename="camel"):
    allocatable: dict[str, str] | None = None
    capacity: dict[str, str] | None = None
    conditions: list[WireCondition] | None = None
    node_info: _Info = msgspec.field(default_factory=_Info)


class _Node(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Attribute(msgspec.Struct):
    string: str | None = None
    version: str | None = None
    holds: bool | None = msgspec.field(default=None, name="bool")


class _Attributed(msgspec.Struct):
    attributes: dict[str, _Attribute] | None = None


class _Device(_Attributed):
    basic: _Attributed | None = None  # where v1beta1 keeps them

    @property
    def all_attributes(self) -> dict[str, _Attribute]:
        return self.attributes or (self.basic.attributes if self.basic else None) or {}

    @property
    def rdma(self) -> bool:
        """Whether DRANET says that it is an RDMA device; a driver may leave its own name out."""
        return any(
            _RDMA in (name, f"dra.net/{name}") and each.holds for name, each in self.all_attributes.items()
        )


class _Pool(msgspec.Struct):
    name: str = ""
    generation: int = 0


class _SliceSpec(msgspec.Struct, rename="camel"):
    driver: str = ""
    pool: _Pool = msgspec.field(default_factory=_Pool)
    node_name: str | None = None
    devices: list[_Device] | None = None


class _Slice(msgspec.Struct):
    metadata: ObjectMeta
    spec: _SliceSpec


@probe(access=[Access("list", "nodes")])
def nodes(cluster: Cluster) -> Nodes:
    return Nodes(tuple(_convert_node(found) for found in cluster.items("/api/v1/nodes", _Node)))


def _convert_node(found: _Node) -> Node:
    return Node(
        name=found.metadata.name,
        labels=found.metadata.labels or {},
        allocatable=found.status.allocatable or {},
        capacity=found.status.capacity or {},
        taints=tuple(Taint(t.key, t.effect, t.value) for t in found.spec.taints or ()),
        conditions=tuple(
            Condition(c.type, c.status, c.reason, c.message) for c in found.status.conditions or ()
        ),
        unschedulable=found.spec.unschedulable,
        architecture=found.status.node_info.architecture,
        kernel=found.status.node_info.kernel_version,
    )


@probe(access=[Access("list", "resourceslices", "resource.k8s.io")])
def resource_slices(cluster: Cluster) -> ResourceSlices:
    """What is read of a slice differs little between versions of the API, stable since Kubernetes 1.34.

    Of a pool whose slices a driver is just replacing, the newest generation is what there is.
    """
    for version in ("v1", "v1beta2", "v1beta1"):
        try:
            found = cluster.items(f"/apis/resource.k8s.io/{version}/resourceslices", _Slice)
        except NotFound:
            continue
        return ResourceSlices(tuple(_convert_slice(each) for each in _filter_newest(found)))
    return ResourceSlices(served=False)


def _filter_newest(found: list[_Slice]) -> list[_Slice]:
    generations: dict[tuple[str, str], int] = {}
    for each in found:
        pool = each.spec.driver, each.spec.pool.name
        generations[pool] = max(each.spec.pool.generation, generations.get(pool, 0))
    return [s for s in found if s.spec.pool.generation == generations[s.spec.driver, s.spec.pool.name]]


def _convert_slice(found: _Slice) -> ResourceSlice:
    devices = found.spec.devices or []
    attributes = (_filter_attributes(device) for device in devices)
    return ResourceSlice(
        name=found.metadata.name,
        driver=found.spec.driver,
        node=found.spec.node_name,
        devices=len(devices),
        attributes=next((each for each in attributes if each), {}),
        rdma=sum(device.rdma for device in devices),
    )


def _filter_attributes(device: _Device) -> dict[str, str]:
    given = device.all_attributes.items()
    values = {name.rpartition("/")[2]: each.string or each.version or "" for name, each in given}
    return {name: values[name] for name in _KEPT_ATTRIBUTES if values.get(name)}
