"""How the GPU Operator installs drivers: its ClusterPolicy and NVIDIADriver objects."""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access
from dynocheck.facts.rdma import GpuDriver, GpuDrivers
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes.wire import Meta

_GROUP = "nvidia.com"


class _Rdma(msgspec.Struct):
    enabled: bool | None = None


class _Driver(msgspec.Struct, rename="camel"):
    enabled: bool | None = None
    rdma: _Rdma = msgspec.field(default_factory=_Rdma)
    kernel_module_type: str = "auto"
    use_nvidia_driver_crd: bool | None = msgspec.field(default=None, name="useNvidiaDriverCRD")


class _PolicySpec(msgspec.Struct):
    driver: _Driver = msgspec.field(default_factory=_Driver)


class _Status(msgspec.Struct):
    state: str = ""


class _Policy(msgspec.Struct):
    metadata: Meta
    spec: _PolicySpec = msgspec.field(default_factory=_PolicySpec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Object(msgspec.Struct):
    metadata: Meta
    spec: _Driver = msgspec.field(default_factory=_Driver)
    status: _Status = msgspec.field(default_factory=_Status)


@probe(access=[Access("list", "clusterpolicies", _GROUP), Access("list", "nvidiadrivers", _GROUP)])
def gpu_drivers(cluster: Cluster) -> GpuDrivers:
    found: list[GpuDriver] = []
    try:
        for policy in cluster.items(f"/apis/{_GROUP}/v1/clusterpolicies", _Policy):
            found.append(_driver("ClusterPolicy", policy.metadata, policy.spec.driver, policy.status))
    except NotFound:
        pass
    try:
        for each in cluster.items(f"/apis/{_GROUP}/v1alpha1/nvidiadrivers", _Object):
            found.append(_driver("NVIDIADriver", each.metadata, each.spec, each.status))
    except NotFound:
        pass
    return GpuDrivers(tuple(found))


def _driver(kind: str, meta: Meta, driver: _Driver, status: _Status) -> GpuDriver:
    return GpuDriver(
        kind=kind,
        name=meta.name,
        state=status.state,
        installs=driver.enabled is not False,
        peermem=driver.rdma.enabled is True,
        modules=driver.kernel_module_type,
        elsewhere=driver.use_nvidia_driver_crd is True,
    )
