"""Finds the address of a graph behind a Gateway."""

from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from dynocheck.facts import GATEWAY_API, Access, Address
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.probes._listing import list_first


class _Reference(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    kind: str = ""


class _Parent(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    section_name: str = ""
    port: int | None = None


class _Match(msgspec.Struct):
    path: dict[str, str] | None = None
    headers: list[dict[str, str]] | None = None


class _Rule(msgspec.Struct, rename="camel"):
    backend_refs: list[_Reference] | None = None
    matches: list[_Match] | None = None


class _RouteSpec(msgspec.Struct, rename="camel"):
    parent_refs: list[_Parent] | None = None
    hostnames: list[str] | None = None
    rules: list[_Rule] | None = None


class _Route(msgspec.Struct):
    metadata: ObjectMeta
    spec: _RouteSpec = msgspec.field(default_factory=_RouteSpec)


class _Listener(msgspec.Struct):
    name: str = ""
    port: int = 80
    protocol: str = "HTTP"


class _GatewaySpec(msgspec.Struct):
    listeners: list[_Listener] | None = None


class _GatewayStatus(msgspec.Struct):
    addresses: list[dict[str, str]] | None = None


class _Gateway(msgspec.Struct):
    spec: _GatewaySpec = msgspec.field(default_factory=_GatewaySpec)
    status: _GatewayStatus = msgspec.field(default_factory=_GatewayStatus)


RIGHTS = (Access("list", "httproutes", GATEWAY_API), Access("get", "gateways", GATEWAY_API))


def find_gateway_address(
    cluster: Cluster, graph: ObjectMeta, frontend: str | None, address: Address
) -> Address:
    """The address at the Gateway of the first HTTPRoute to the graph's pool or frontend.

    Routes whose Gateways have no address are skipped.
    """
    backends = {("InferencePool", f"{graph.name}-pool")}
    if frontend is not None:
        backends.add(("Service", f"{graph.name}-{frontend.lower()}"))
    missing = f"no HTTPRoute refers to {graph.name}"
    for route in list_first(cluster, [f"/apis/{GATEWAY_API}/v1/httproutes"], _Route) or ():
        rule = _find_rule(route, backends, graph.namespace)
        if rule is not None:
            resolved = _resolve_route(cluster, route, rule, address)
            if resolved is not None:
                return resolved
            name = f"{route.metadata.namespace}/{route.metadata.name}"
            missing = f"no Gateway of HTTPRoute {name} has an address"
    return replace(address, missing=missing)


def _find_rule(route: _Route, backends: set[tuple[str, str]], namespace: str) -> _Rule | None:
    """The first rule with one of these backends of a namespace."""
    for rule in route.spec.rules or ():
        for backend in rule.backend_refs or ():
            of = backend.namespace or route.metadata.namespace
            if (backend.kind or "Service", backend.name) in backends and of == namespace:
                return rule
    return None


def _resolve_route(cluster: Cluster, route: _Route, rule: _Rule, address: Address) -> Address | None:
    for parent in route.spec.parent_refs or ():
        namespace = parent.namespace or route.metadata.namespace
        gateway = _get_gateway(cluster, namespace, parent.name)
        listener = gateway and _find_listener(gateway, parent)
        if gateway and listener and gateway.status.addresses:
            match = (rule.matches or [_Match()])[0]
            scheme = "https" if listener.protocol == "HTTPS" else "http"
            host = gateway.status.addresses[0].get("value", "")
            authority = f"{f'[{host}]' if ':' in host else host}:{listener.port}"
            return replace(
                address,
                url=f"{scheme}://{authority}{_find_base_path(match.path or {})}",
                way=f"Gateway {namespace}/{parent.name}",
                headers=_make_headers(route, match),
            )
    return None


def _find_listener(gateway: _Gateway, parent: _Parent) -> _Listener | None:
    """The first listener that the parentRef selects."""
    for listener in gateway.spec.listeners or ():
        if parent.section_name in ("", listener.name) and parent.port in (None, listener.port):
            return listener
    return None


def _find_base_path(path: dict[str, str]) -> str:
    """The path before /v1 in the requests that a match accepts; empty if unknown."""
    value = path.get("value", "/")
    if path.get("type") == "RegularExpression":
        return ""
    base, below, _ = f"{value}/".partition("/v1/")
    base = base.rstrip("/")
    return base if below or path.get("type") != "Exact" else ""


def _make_headers(route: _Route, match: _Match) -> dict[str, str]:
    headers = {h["name"]: h["value"] for h in match.headers or () if h.get("type", "Exact") == "Exact"}
    if route.spec.hostnames:
        headers["Host"] = route.spec.hostnames[0].replace("*", "dynocheck")
    return headers


def _get_gateway(cluster: Cluster, namespace: str, name: str) -> _Gateway | None:
    path = f"/apis/{GATEWAY_API}/v1/namespaces/{quote(namespace)}/gateways/{quote(name)}"
    try:
        return cluster.get(path, _Gateway)
    except NotFound:
        return None
