"""Reads GatewayClasses, Gateways, and HTTPRoutes with an InferencePool as a backend."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from dynocheck import probe
from dynocheck.facts import (
    GATEWAY_API,
    Access,
    ControllerCondition,
    Gateway,
    GatewayClass,
    GatewayClasses,
    Gateways,
    InferenceRoutes,
    Listener,
    ObjectReference,
    Route,
    RouteParent,
)
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition
from dynocheck.probes._listing import list_first

T = TypeVar("T")

_VERSIONS = ("v1", "v1beta1")


class WireCondition(StatusCondition, rename="camel"):
    """A condition with the generation of the object for which it was set; 0 if unknown."""

    observed_generation: int = 0


class WireParent(msgspec.Struct, rename="camel"):
    """A parentRef, with the API's defaults."""

    name: str = ""
    group: str = GATEWAY_API
    kind: str = "Gateway"
    namespace: str = ""
    section_name: str = ""
    port: int | None = None


class WireParentStatus(msgspec.Struct, rename="camel"):
    """The status that a controller sets on an object for one of its parents."""

    parent_ref: WireParent = msgspec.field(default_factory=WireParent)
    controller_name: str = ""
    conditions: list[WireCondition] | None = None


class _ClassSpec(msgspec.Struct, rename="camel"):
    controller_name: str


class _Status(msgspec.Struct):
    conditions: list[WireCondition] | None = None


class _Class(msgspec.Struct):
    metadata: ObjectMeta
    spec: _ClassSpec
    status: _Status = msgspec.field(default_factory=_Status)


class _From(msgspec.Struct):
    source: str = msgspec.field(name="from", default="Same")


class _Kind(msgspec.Struct):
    kind: str


class _Allowed(msgspec.Struct):
    namespaces: _From | None = None
    kinds: list[_Kind] | None = None


class _Listener(msgspec.Struct, rename="camel"):
    name: str
    port: int = 0
    protocol: str = ""
    allowed_routes: _Allowed | None = None


class _GatewaySpec(msgspec.Struct, rename="camel"):
    gateway_class_name: str
    listeners: list[_Listener] | None = None


class _ListenerStatus(msgspec.Struct):
    name: str
    conditions: list[WireCondition] | None = None


class _GatewayStatus(msgspec.Struct):
    conditions: list[WireCondition] | None = None
    listeners: list[_ListenerStatus] | None = None


class _Gateway(msgspec.Struct):
    metadata: ObjectMeta
    spec: _GatewaySpec
    status: _GatewayStatus = msgspec.field(default_factory=_GatewayStatus)


class _Backend(msgspec.Struct):
    name: str
    group: str = ""
    kind: str = "Service"
    namespace: str = ""
    port: int | None = None


class _Rule(msgspec.Struct, rename="camel"):
    backend_refs: list[_Backend] | None = None


class _RouteSpec(msgspec.Struct, rename="camel"):
    parent_refs: list[WireParent] | None = None
    rules: list[_Rule] | None = None


class _RouteStatus(msgspec.Struct):
    parents: list[WireParentStatus] | None = None


class _Route(msgspec.Struct):
    metadata: ObjectMeta
    spec: _RouteSpec = msgspec.field(default_factory=_RouteSpec)
    status: _RouteStatus = msgspec.field(default_factory=_RouteStatus)


@probe(access=[Access("list", "gatewayclasses", GATEWAY_API)])
def gateway_classes(cluster: Cluster) -> GatewayClasses:
    classes = (
        GatewayClass(
            item.metadata.name,
            item.spec.controller_name,
            convert_conditions(item.status.conditions, item.metadata),
        )
        for item in _list_items(cluster, "gatewayclasses", _Class)
    )
    return GatewayClasses(tuple(classes))


@probe(access=[Access("list", "gateways", GATEWAY_API)])
def gateways(cluster: Cluster) -> Gateways:
    return Gateways(tuple(map(_convert_gateway, _list_items(cluster, "gateways", _Gateway))))


@probe(access=[Access("list", "httproutes", GATEWAY_API)])
def inference_routes(cluster: Cluster) -> InferenceRoutes:
    routes = map(_convert_route, _list_items(cluster, "httproutes", _Route))
    return InferenceRoutes(tuple(route for route in routes if route.pools))


def _list_items(cluster: Cluster, resource: str, kind: type[T]) -> list[T]:
    paths = (f"/apis/{GATEWAY_API}/{version}/{resource}" for version in _VERSIONS)
    return list_first(cluster, paths, kind) or []


def convert_conditions(
    conditions: Iterable[WireCondition] | None, meta: ObjectMeta
) -> tuple[ControllerCondition, ...]:
    """Conditions that know whether they are of the object's current generation."""
    return tuple(
        ControllerCondition(
            c.type, c.status, c.reason, c.message, not 0 < c.observed_generation < meta.generation
        )
        for c in conditions or ()
    )


def convert_parent(parent: WireParent, meta: ObjectMeta) -> ObjectReference:
    """The parent in a parentRef of an object with this metadata."""
    return ObjectReference(
        group=parent.group,
        kind=parent.kind,
        namespace=parent.namespace or meta.namespace,
        name=parent.name,
        section=parent.section_name,
        port=parent.port,
    )


def convert_statuses(
    statuses: Iterable[WireParentStatus] | None, meta: ObjectMeta
) -> tuple[RouteParent, ...]:
    """The statuses of an object for each of its parents."""
    return tuple(
        RouteParent(
            convert_parent(s.parent_ref, meta), s.controller_name, convert_conditions(s.conditions, meta)
        )
        for s in statuses or ()
    )


def _convert_gateway(gateway: _Gateway) -> Gateway:
    meta, spec, status = gateway.metadata, gateway.spec, gateway.status
    conditions = {listener.name: listener.conditions for listener in status.listeners or ()}
    return Gateway(
        namespace=meta.namespace,
        name=meta.name,
        class_name=spec.gateway_class_name,
        listeners=tuple(
            _convert_listener(listener, conditions.get(listener.name), meta)
            for listener in spec.listeners or ()
        ),
        conditions=convert_conditions(status.conditions, meta),
    )


def _convert_listener(
    listener: _Listener, conditions: list[WireCondition] | None, gateway: ObjectMeta
) -> Listener:
    allowed = listener.allowed_routes or _Allowed()
    return Listener(
        name=listener.name,
        port=listener.port,
        protocol=listener.protocol,
        routes_from=(allowed.namespaces or _From()).source,
        kinds=tuple(kind.kind for kind in allowed.kinds or ()),
        conditions=convert_conditions(conditions, gateway),
    )


def _convert_route(route: _Route) -> Route:
    meta = route.metadata
    backends = [backend for rule in route.spec.rules or () for backend in rule.backend_refs or ()]
    pools = (
        ObjectReference(
            group=backend.group,
            kind=backend.kind,
            namespace=backend.namespace or meta.namespace,
            name=backend.name,
            port=backend.port,
        )
        for backend in backends
        if backend.kind == "InferencePool"
    )
    return Route(
        namespace=meta.namespace,
        name=meta.name,
        parents=tuple(convert_parent(parent, meta) for parent in route.spec.parent_refs or ()),
        pools=tuple(dict.fromkeys(pools)),
        statuses=convert_statuses(route.status.parents, meta),
    )
