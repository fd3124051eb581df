"""Finds the endpoint of a DynamoGraphDeployment, and the way to it."""

import os
from collections import Counter
from dataclasses import dataclass
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from dynocheck import probe
from dynocheck.errors import UsageError
from dynocheck.facts import Access
from dynocheck.facts.endpoint import Address
from dynocheck.kube import Cluster, Forbidden, NotFound
from dynocheck.probes.endpoint_gateway import RIGHTS as _OF_A_GATEWAY
from dynocheck.probes.endpoint_gateway import by_gateway
from dynocheck.probes.wire import Meta

_GROUP = "nvidia.com"
_VERSIONS = ("v1beta1", "v1alpha1")
_PORT = 8000

PROXY, DNS, GATEWAY = "proxy", "dns", "gateway"
BY_PROXY = "the API server's proxy"
_GRAPHS = Access("list", "dynamographdeployments", _GROUP, local=True)
_SERVICE = Access("get", "services", local=True)
RIGHTS = {
    PROXY: (
        _GRAPHS,
        _SERVICE,
        Access("get", "services/proxy", local=True),
        Access("create", "services/proxy", local=True),
    ),
    DNS: (_GRAPHS, _SERVICE),
    GATEWAY: (_GRAPHS, *_OF_A_GATEWAY),
}
"""What each way takes."""


@dataclass(frozen=True)
class Deployment:
    """What the user named. No name means the only one of the namespace, `via` none the way that is open."""

    name: str | None = None
    via: str | None = None


class _Component(msgspec.Struct, rename="camel"):
    name: str = ""
    type: str = ""
    component_type: str = ""
    sub_component_type: str | None = None
    replicas: int | None = None

    @property
    def role(self) -> str:
        """v1alpha1 spells a prefill worker as a worker of the sub-type prefill."""
        return self.sub_component_type or self.type or self.component_type


class _Spec(msgspec.Struct):
    components: list[_Component] | None = None
    services: dict[str, _Component] | None = None

    @property
    def by_name(self) -> dict[str, _Component]:
        """The components; v1alpha1 has a map of them, v1beta1 a list."""
        return {component.name: component for component in self.components or ()} | (self.services or {})


class _Graph(msgspec.Struct):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _ServicePort(msgspec.Struct):
    port: int
    name: str = ""


class _ServiceSpec(msgspec.Struct):
    ports: list[_ServicePort] | None = None


class _Service(msgspec.Struct):
    metadata: Meta
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)


@probe(access=sorted({right for rights in RIGHTS.values() for right in rights}))
def address(deployment: Deployment, cluster: Cluster) -> Address:
    """:raises UsageError: there is no such deployment in the namespace."""
    via = deployment.via or (DNS if _in_cluster() else PROXY)
    try:
        return _address(cluster, deployment.name, via)
    except Forbidden as error:
        apply = f"kubectl apply -n {cluster.connection.namespace} -f -"
        error.fix = f"dynocheck rbac --smoke --via {via} | {apply}   # by an administrator, who binds it too"
        raise


def _address(cluster: Cluster, name: str | None, via: str) -> Address:
    graph = _graph(cluster, name)
    components = graph.spec.by_name
    replicas: Counter[str] = Counter()
    for component in components.values():
        replicas[component.role] += 1 if component.replicas is None else component.replicas
    namespace = graph.metadata.namespace
    found = Address(
        url="",
        deployment=f"{namespace}/{graph.metadata.name}",
        replicas=dict(replicas),
    )
    frontend = next((each for each, component in components.items() if component.role == "frontend"), None)
    if via == GATEWAY:
        return by_gateway(cluster, graph.metadata, frontend, found)
    if frontend is None:
        return replace(found, missing="the graph has no frontend; behind a Gateway, say --via gateway")
    service = f"{graph.metadata.name}-{frontend.lower()}"
    try:
        port = _port(cluster.get(f"/api/v1/namespaces/{namespace}/services/{service}", _Service))
    except NotFound:
        return replace(found, missing=f"its frontend has no Service {service}")
    if via == DNS:
        return replace(found, url=f"http://{service}.{namespace}.svc:{port}", way="the cluster's DNS")
    path = f"/api/v1/namespaces/{namespace}/services/http:{service}:{port}/proxy"
    return replace(found, url=cluster.connection.server + path, way=BY_PROXY)


def _graph(cluster: Cluster, name: str | None) -> _Graph:
    namespace = cluster.connection.namespace
    for version in _VERSIONS:
        path = f"/apis/{_GROUP}/{version}/namespaces/{quote(namespace)}/dynamographdeployments"
        try:
            graphs = cluster.items(path, _Graph)
            break
        except NotFound:
            continue
    else:
        raise UsageError(
            "the cluster has no DynamoGraphDeployments: Dynamo's resource types are not installed"
        )
    chosen = [graph for graph in graphs if name in (None, graph.metadata.name)]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(graph.metadata.name for graph in graphs) or "none"
    what = f"no DynamoGraphDeployment {name}" if name else "which DynamoGraphDeployment?"
    raise UsageError(f"namespace {namespace}: {what}; there is {there}")


def _port(service: _Service) -> int:
    ports = service.spec.ports or []
    return next((p.port for p in ports if p.name == "http"), ports[0].port if ports else _PORT)


def _in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
