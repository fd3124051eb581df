"""Finds the endpoint of a DynamoGraphDeployment, through the API server, DNS or a Gateway."""

import os
from collections import Counter

import msgspec
from msgspec.structs import replace

from dynocheck import probe
from dynocheck.facts import LIMITS_ANNOTATION, Access, Address, LoadLimits, parse_annotation
from dynocheck.kube import Cluster, Forbidden, NotFound
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.probes.endpoint.gateway import RIGHTS as _GATEWAY_RIGHTS
from dynocheck.probes.endpoint.gateway import find_gateway_address
from dynocheck.probes.endpoint.graph import READING, DeploymentRef, get_graph

_PORT = 8000

PROXY, DNS, GATEWAY = "proxy", "dns", "gateway"
BY_PROXY = "the API server's proxy"
_SERVICE = Access("get", "services", local=True)
RIGHTS = {
    PROXY: (
        READING,
        _SERVICE,
        Access("get", "services/proxy", local=True),
        Access("create", "services/proxy", local=True),
    ),
    DNS: (READING, _SERVICE),
    GATEWAY: (READING, *_GATEWAY_RIGHTS),
}
"""The permissions for each value of --via."""


class _ServicePort(msgspec.Struct):
    port: int
    name: str = ""


class _ServiceSpec(msgspec.Struct):
    ports: list[_ServicePort] | None = None


class _Service(msgspec.Struct):
    metadata: ObjectMeta
    spec: _ServiceSpec = msgspec.field(default_factory=_ServiceSpec)


@probe(access=sorted({right for rights in RIGHTS.values() for right in rights}))
def address(deployment: DeploymentRef, cluster: Cluster) -> Address:
    """:raises UsageError: the namespace does not have the deployment."""
    via = deployment.via or (DNS if _is_in_cluster() else PROXY)
    try:
        return _find_address(cluster, deployment.name, via)
    except Forbidden as error:
        error.fix = cluster.format_grant(str(error), f"--smoke --via {via}")
        raise


def _find_address(cluster: Cluster, name: str | None, via: str) -> Address:
    graph = get_graph(cluster, name)
    components = graph.spec.by_name
    replicas: Counter[str] = Counter()
    for component in components.values():
        replicas[component.role] += 1 if component.replicas is None else component.replicas
    namespace = graph.metadata.namespace
    address = Address(
        url="",
        deployment=f"{namespace}/{graph.metadata.name}",
        replicas=dict(replicas),
        limits=_read_limits(graph.metadata),
    )
    frontend = next((name for name, component in components.items() if component.role == "frontend"), None)
    if via == GATEWAY:
        return find_gateway_address(cluster, graph.metadata, frontend, address)
    if frontend is None:
        return replace(address, missing="the graph has no frontend; behind a Gateway, use --via gateway")
    service = f"{graph.metadata.name}-{frontend.lower()}"
    try:
        port = _find_port(cluster.get(f"/api/v1/namespaces/{namespace}/services/{service}", _Service))
    except NotFound:
        return replace(address, missing=f"its frontend has no Service {service}")
    if via == DNS:
        return replace(address, url=f"http://{service}.{namespace}.svc:{port}", way="the cluster's DNS")
    path = f"/api/v1/namespaces/{namespace}/services/http:{service}:{port}/proxy"
    return replace(address, url=cluster.connection.server + path, way=BY_PROXY)


def _read_limits(graph: ObjectMeta) -> LoadLimits:
    source = f"{LIMITS_ANNOTATION} of DynamoGraphDeployment {graph.namespace}/{graph.name}"
    return parse_annotation((graph.annotations or {}).get(LIMITS_ANNOTATION, ""), source)


def _find_port(service: _Service) -> int:
    ports = service.spec.ports or []
    return next((p.port for p in ports if p.name == "http"), ports[0].port if ports else _PORT)


def _is_in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
