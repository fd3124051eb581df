"""Finds the endpoint of a DynamoGraphDeployment or workload, through the API server, DNS or a Gateway."""

import os
from collections import Counter

import msgspec
from msgspec.structs import replace

from dynocheck import probe
from dynocheck.core.errors import UsageError
from dynocheck.facts import LIMITS_ANNOTATION, Access, Address, LoadLimits, parse_annotation
from dynocheck.kube import Cluster, Forbidden, NotFound
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.probes.endpoint.gateway import RIGHTS as _GATEWAY_RIGHTS
from dynocheck.probes.endpoint.gateway import find_gateway_address
from dynocheck.probes.endpoint.graph import READING, DeploymentRef, get_graph
from dynocheck.probes.endpoint.workload import BY_DNS, BY_PROXY, find_workload_address
from dynocheck.probes.endpoint.workload import RIGHTS as WORKLOAD_RIGHTS

_PORT = 8000

PROXY, DNS, GATEWAY = "proxy", "dns", "gateway"
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


@probe(access=sorted({right for rights in (*RIGHTS.values(), WORKLOAD_RIGHTS) for right in rights}))
def address(deployment: DeploymentRef, cluster: Cluster) -> Address:
    """:raises UsageError: the namespace does not have the deployment."""
    via = deployment.via or (DNS if _is_in_cluster() else PROXY)
    if deployment.workload:
        return _find_workload_address(cluster, deployment.workload, via)
    try:
        return _find_address(cluster, deployment.name, via)
    except Forbidden as error:
        error.fix = cluster.format_grant(str(error), f"--smoke --via {via}")
        raise


def _find_workload_address(cluster: Cluster, workload: str, via: str) -> Address:
    if via == GATEWAY:
        raise UsageError("--via gateway: only for a DynamoGraphDeployment; use --url for a workload")
    try:
        return find_workload_address(cluster, workload, by_dns=via == DNS)
    except Forbidden as error:
        error.fix = cluster.format_grant(str(error), "--smoke --workload")
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
        return replace(address, url=f"http://{service}.{namespace}.svc:{port}", way=BY_DNS)
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
