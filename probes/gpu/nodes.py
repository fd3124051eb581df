"""Reads nodes, and the devices that DRA drivers offer on them."""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, Node, Nodes, ResourceSlice, ResourceSlices, Taint
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition, make_conditions
from dynocheck.probes._listing import list_first

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


class _Attributed(msgspec.Struct):
    attributes: dict[str, _Attribute] | None = None


class _Device(_Attributed):
    basic: _Attributed | None = None  # contains the attributes in v1beta1

    @property
    def all_attributes(self) -> dict[str, _Attribute]:
        return self.attributes or (self.basic.attributes if self.basic else None) or {}

    @property
    def rdma(self) -> bool:
        """Whether DRANET marks it as an RDMA device; attribute names may omit the driver's domain."""
        attributes = self.all_attributes.items()
        return any(_RDMA in (name, f"dra.net/{name}") and value.flag for name, value in attributes)


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


@probe(access=[Access("list", "resourceslices", "resource.k8s.io")])
def resource_slices(cluster: Cluster) -> ResourceSlices:
    """The API is stable since Kubernetes 1.34; earlier versions differ little in the fields that are read."""
    paths = (f"/apis/resource.k8s.io/{version}/resourceslices" for version in ("v1", "v1beta2", "v1beta1"))
    slices = list_first(cluster, paths, _Slice)
    if slices is None:
        return ResourceSlices(served=False)
    return ResourceSlices(tuple(map(_convert_slice, _filter_newest(slices))))


def _filter_newest(slices: list[_Slice]) -> list[_Slice]:
    """The slices of the newest generation of each pool; drivers replace older ones."""
    generations: dict[tuple[str, str], int] = {}
    for item in slices:
        pool = item.spec.driver, item.spec.pool.name
        generations[pool] = max(item.spec.pool.generation, generations.get(pool, 0))
    return [s for s in slices if s.spec.pool.generation == generations[s.spec.driver, s.spec.pool.name]]


def _convert_slice(resource_slice: _Slice) -> ResourceSlice:
    devices = resource_slice.spec.devices or []
    return ResourceSlice(
        name=resource_slice.metadata.name,
        driver=resource_slice.spec.driver,
        node=resource_slice.spec.node_name,
        devices=len(devices),
        attributes=next(filter(None, map(_filter_attributes, devices)), {}),
        rdma=sum(device.rdma for device in devices),
    )


def _filter_attributes(device: _Device) -> dict[str, str]:
    attributes = device.all_attributes.items()
    values = {name.rpartition("/")[2]: value.string or value.version or "" for name, value in attributes}
    return {name: values[name] for name in _KEPT_ATTRIBUTES if values.get(name)}
