"""Reads the pods of the GPU Operator, in any namespace, and its custom resources."""

from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, DriverSettings, OperatorPods, OperatorResource, OperatorResources
from dynocheck.kube import Cluster, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition, make_conditions
from dynocheck.probes._listing import list_first
from dynocheck.probes.capacity.pods import WirePod, convert_pod

# The first label is from the Helm chart, the second from the OLM bundle and old charts.
_SELECTORS = ("app.kubernetes.io/name=gpu-operator", "app=gpu-operator")
_RESOURCES = {
    "ClusterPolicy": ("v1", "clusterpolicies"),
    "GPUCluster": ("v1alpha1", "gpuclusters"),
    "NVIDIADriver": ("v1alpha1", "nvidiadrivers"),
}


@probe(access=[Access("list", "pods")])
def gpu_operator_pods(cluster: Cluster) -> OperatorPods:
    lists = run_parallel(
        [partial(cluster.items, "/api/v1/pods", WirePod, labelSelector=selector) for selector in _SELECTORS]
    )
    pods = (convert_pod(pod) for items in lists for pod in items)
    return OperatorPods(tuple({(pod.namespace, pod.name): pod for pod in pods}.values()))


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
    """The spec of an NVIDIADriver, or of a ClusterPolicy, which has the driver's settings in `driver`."""

    driver: _Driver | None = None


class _Resource(msgspec.Struct):
    metadata: ObjectMeta
    spec: _ResourceSpec = msgspec.field(default_factory=_ResourceSpec)
    status: _ResourceStatus = msgspec.field(default_factory=_ResourceStatus)


@probe(access=[Access("list", plural, "nvidia.com") for _, plural in _RESOURCES.values()])
def gpu_operator_resources(cluster: Cluster) -> OperatorResources:
    def list_resources(kind: str, version: str, plural: str) -> list[OperatorResource]:
        resources = list_first(cluster, [f"/apis/nvidia.com/{version}/{plural}"], _Resource)
        return [_convert_resource(kind, resource) for resource in resources or ()]

    lists = run_parallel([partial(list_resources, kind, *path) for kind, path in _RESOURCES.items()])
    return OperatorResources(tuple(resource for resources in lists for resource in resources))


def _convert_resource(kind: str, resource: _Resource) -> OperatorResource:
    spec, status = resource.spec, resource.status
    return OperatorResource(
        kind=kind,
        name=resource.metadata.name,
        state=status.state,
        conditions=make_conditions(status.conditions),
        driver=_convert_driver(spec if kind == "NVIDIADriver" else spec.driver or _Driver())
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
