"""The way to a graph by the Gateway before it."""

from typing import TypeVar

import msgspec
from msgspec.structs import replace

from dynocheck.facts.endpoint import Address
from dynocheck.facts.gaie import GATEWAY_API
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes.wire import Meta

T = TypeVar("T")


class _Reference(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    kind: str = ""


class _Match(msgspec.Struct):
    path: dict[str, str] | None = None
    headers: list[dict[str, str]] | None = None


class _Rule(msgspec.Struct, rename="camel"):
    backend_refs: list[_Reference] | None = None
    matches: list[_Match] | None = None


class _RouteSpec(msgspec.Struct, rename="camel"):
    parent_refs: list[_Reference] | None = None
    hostnames: list[str] | None = None
    rules: list[_Rule] | None = None


class _Route(msgspec.Struct):
    metadata: Meta
    spec: _RouteSpec = msgspec.field(default_factory=_RouteSpec)


class _Listener(msgspec.Struct):
    port: int = 80
    protocol: str = "HTTP"


class _GatewaySpec(msgspec.Struct):
    listeners: list[_Listener] | None = None


class _GatewayStatus(msgspec.Struct):
    addresses: list[dict[str, str]] | None = None


class _Gateway(msgspec.Struct):
    metadata: Meta
    spec: _GatewaySpec = msgspec.field(default_factory=_GatewaySpec)
    status: _GatewayStatus = msgspec.field(default_factory=_GatewayStatus)


def by_gateway(cluster: Cluster, graph: Meta, frontend: str | None, found: Address) -> Address:
    """By the first HTTPRoute that leads to the graph's pool or frontend, and the Gateway that it is for."""
    backends = {("InferencePool", f"{graph.name}-pool")}
    if frontend is not None:
        backends.add(("Service", f"{graph.name}-{frontend.lower()}"))
    for route in _items(cluster, "httproutes", _Route):
        for rule in route.spec.rules or ():
            for backend in rule.backend_refs or ():
                where = backend.namespace or route.metadata.namespace
                if (backend.kind or "Service", backend.name) in backends and where == graph.namespace:
                    return _routed(cluster, route, rule, found)
    return replace(found, missing=f"no HTTPRoute leads to {graph.name}")


def _routed(cluster: Cluster, route: _Route, rule: _Rule, found: Address) -> Address:
    parents = {(p.namespace or route.metadata.namespace, p.name) for p in route.spec.parent_refs or ()}
    for gateway in _items(cluster, "gateways", _Gateway):
        listeners = gateway.spec.listeners or []
        addresses = gateway.status.addresses or []
        if (gateway.metadata.namespace, gateway.metadata.name) in parents and listeners and addresses:
            match = (rule.matches or [_Match()])[0]
            headers = {
                h["name"]: h["value"] for h in match.headers or () if h.get("type", "Exact") == "Exact"
            }
            if route.spec.hostnames:
                headers["Host"] = route.spec.hostnames[0].replace("*", "dynocheck")
            prefix = (match.path or {}).get("value", "/").rstrip("/").removesuffix("/v1")
            scheme = "https" if listeners[0].protocol in ("HTTPS", "TLS") else "http"
            host = addresses[0].get("value", "")
            return replace(
                found,
                url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{listeners[0].port}{prefix}",
                way=f"Gateway {gateway.metadata.namespace}/{gateway.metadata.name}",
                headers=headers,
            )
    named = f"{route.metadata.namespace}/{route.metadata.name}"
    return replace(found, missing=f"no Gateway of HTTPRoute {named} has an address")


def _items(cluster: Cluster, resource: str, kind: type[T]) -> list[T]:
    try:
        return cluster.items(f"/apis/{GATEWAY_API}/v1/{resource}", kind)
    except NotFound:
        return []
