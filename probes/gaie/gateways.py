"""GatewayClasses, Gateways, and the HTTPRoutes that lead to an InferencePool."""

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
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition

T = TypeVar("T")

_VERSIONS = ("v1", "v1beta1")


class WireCondition(StatusCondition, rename="camel"):
    """A condition that may say which generation of its object it is about."""

    observed_generation: int = 0


class WireParent(msgspec.Struct, rename="camel"):
    """A reference to a parent, with the defaults of the API."""

    name: str = ""
    group: str = GATEWAY_API
    kind: str = "Gateway"
    namespace: str = ""
    section_name: str = ""
    port: int | None = None


class WireParentStatus(msgspec.Struct, rename="camel"):
    """What a controller reports of an object at one of its parents."""

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
    return GatewayClasses(
        tuple(
            GatewayClass(
                found.metadata.name,
                found.spec.controller_name,
                convert_conditions(found.status.conditions, found.metadata),
            )
            for found in _list_items(cluster, "gatewayclasses", _Class)
        )
    )


@probe(access=[Access("list", "gateways", GATEWAY_API)])
def gateways(cluster: Cluster) -> Gateways:
    return Gateways(tuple(_convert_gateway(found) for found in _list_items(cluster, "gateways", _Gateway)))


@probe(access=[Access("list", "httproutes", GATEWAY_API)])
def inference_routes(cluster: Cluster) -> InferenceRoutes:
    routes = (_convert_route(found) for found in _list_items(cluster, "httproutes", _Route))
    return InferenceRoutes(tuple(route for route in routes if route.pools))


def _list_items(cluster: Cluster, resource: str, kind: type[T]) -> list[T]:
    for version in _VERSIONS:
        try:
            return cluster.items(f"/apis/{GATEWAY_API}/{version}/{resource}", kind)
        except NotFound:
            continue
    return []


def convert_conditions(
    conditions: Iterable[WireCondition] | None, meta: ObjectMeta
) -> tuple[ControllerCondition, ...]:
    """Conditions, each told whether it is about the present generation of its object."""
    return tuple(
        ControllerCondition(
            c.type, c.status, c.reason, c.message, not 0 < c.observed_generation < meta.generation
        )
        for c in conditions or ()
    )


def convert_parent(found: WireParent, meta: ObjectMeta) -> ObjectReference:
    """The parent that an object of this metadata points to."""
    return ObjectReference(
        group=found.group,
        kind=found.kind,
        namespace=found.namespace or meta.namespace,
        name=found.name,
        section=found.section_name,
        port=found.port,
    )


def convert_statuses(found: Iterable[WireParentStatus] | None, meta: ObjectMeta) -> tuple[RouteParent, ...]:
    """What controllers report of an object at its parents."""
    return tuple(
        RouteParent(
            convert_parent(s.parent_ref, meta), s.controller_name, convert_conditions(s.conditions, meta)
        )
        for s in found or ()
    )


def _convert_gateway(found: _Gateway) -> Gateway:
    told = {s.name: s.conditions for s in found.status.listeners or ()}
    return Gateway(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        class_name=found.spec.gateway_class_name,
        listeners=tuple(
            _convert_listener(each, told.get(each.name), found) for each in found.spec.listeners or ()
        ),
        conditions=convert_conditions(found.status.conditions, found.metadata),
    )


def _convert_listener(each: _Listener, conditions: list[WireCondition] | None, found: _Gateway) -> Listener:
    allowed = each.allowed_routes or _Allowed()
    return Listener(
        name=each.name,
        port=each.port,
        protocol=each.protocol,
        routes_from=(allowed.namespaces or _From()).source,
        kinds=tuple(kind.kind for kind in allowed.kinds or ()),
        conditions=convert_conditions(conditions, found.metadata),
    )


def _convert_route(found: _Route) -> Route:
    meta = found.metadata
    backends = [backend for rule in found.spec.rules or () for backend in rule.backend_refs or ()]
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
        parents=tuple(convert_parent(each, meta) for each in found.spec.parent_refs or ()),
        pools=tuple(dict.fromkeys(pools)),
        statuses=convert_statuses(found.status.parents, meta),
    )
