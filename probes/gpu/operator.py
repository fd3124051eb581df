"""The GPU Operator: its own pods, wherever they run, and the resources that it works from."""

from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, DriverSettings, OperatorPods, OperatorResource, OperatorResources
from dynocheck.facts import Condition as ConditionFact
from dynocheck.kube import Cluster, NotFound, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition
from dynocheck.probes.capacity.pods import WirePod, convert_pod

# Helm's chart sets the first, OLM's bundle and old charts the second.
_SELECTORS = ("app.kubernetes.io/name=gpu-operator", "app=gpu-operator")
_RESOURCES = {
    "ClusterPolicy": ("v1", "clusterpolicies"),
    "GPUCluster": ("v1alpha1", "gpuclusters"),
    "NVIDIADriver": ("v1alpha1", "nvidiadrivers"),
}


@probe(access=[Access("list", "pods")])
def gpu_operator_pods(cluster: Cluster) -> OperatorPods:
    def matching(selector: str) -> list[WirePod]:
        return cluster.items("/api/v1/pods", WirePod, labelSelector=selector)

    lists = run_parallel([partial(matching, selector) for selector in _SELECTORS])
    pods = (convert_pod(found) for each in lists for found in each)
    return OperatorPods(tuple({(each.namespace, each.name): each for each in pods}.values()))


class _ResourceStatus(msgspec.Struct):
    state: str = ""
    conditions: list[StatusCondition] | None = None


class _Rdma(msgspec.Struct):
    enabled: bool | None = None


class _Driver(msgspec.Struct, rename="camel"):
    enabled: bool | None = None
    rdma: _Rdma | None = None
    kernel_module_type: str = "auto"
    use_driver_objects: bool | None = msgspec.field(default=None, name="useNvidiaDriverCRD")


class _ResourceSpec(_Driver):
    """An NVIDIADriver's spec is the driver's, a ClusterPolicy's has it as a part."""

    driver: _Driver | None = None


class _Resource(msgspec.Struct):
    metadata: ObjectMeta
    spec: _ResourceSpec = msgspec.field(default_factory=_ResourceSpec)
    status: _ResourceStatus = msgspec.field(default_factory=_ResourceStatus)


@probe(access=[Access("list", plural, "nvidia.com") for _, plural in _RESOURCES.values()])
def gpu_operator_resources(cluster: Cluster) -> OperatorResources:
    """A type that is not defined has no objects."""

    def listed(kind: str, version: str, plural: str) -> list[OperatorResource]:
        try:
            found = cluster.items(f"/apis/nvidia.com/{version}/{plural}", _Resource)
        except NotFound:
            return []
        return [_convert_resource(kind, each) for each in found]

    lists = run_parallel([partial(listed, kind, *where) for kind, where in _RESOURCES.items()])
    return OperatorResources(tuple(each for found in lists for each in found))


def _convert_resource(kind: str, found: _Resource) -> OperatorResource:
    return OperatorResource(
        kind=kind,
        name=found.metadata.name,
        state=found.status.state,
        conditions=tuple(
            ConditionFact(c.type, c.status, c.reason, c.message) for c in found.status.conditions or ()
        ),
        driver=_convert_driver(found.spec if kind == "NVIDIADriver" else found.spec.driver or _Driver())
        if kind in ("ClusterPolicy", "NVIDIADriver")
        else None,
    )


def _convert_driver(driver: _Driver) -> DriverSettings:
    return DriverSettings(
        installs=driver.enabled is not False,
        peermem=driver.rdma is not None and driver.rdma.enabled is True,
        modules=driver.kernel_module_type,
        elsewhere=driver.use_driver_objects is True,
    )
