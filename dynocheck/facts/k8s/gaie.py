"""Facts about the way of a request: GatewayClass, Gateway, HTTPRoute, InferencePool, endpoint picker."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact, Condition, Pod

GATEWAY_API = "gateway.networking.k8s.io"
GAIE = "inference.networking.k8s.io"
GAIE_EXPERIMENTAL = "inference.networking.x-k8s.io"


class ControllerCondition(Condition, frozen=True):
    """A condition as its controller wrote it; `current` unless it says that it saw an older generation."""

    current: bool = True


class GatewayClass(msgspec.Struct, frozen=True):
    name: str
    controller: str
    conditions: tuple[ControllerCondition, ...] = ()


class GatewayClasses(ClusterFact, FactList[GatewayClass], frozen=True):
    """Every GatewayClass; none where the Gateway API is not served."""

    def find(self, name: str) -> GatewayClass | None:
        return next((found for found in self.items if found.name == name), None)


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A listener of a Gateway. `routes_from` is All, Same, Selector or None; no `kinds` means the usual."""

    name: str
    port: int = 0
    protocol: str = ""
    routes_from: str = "Same"
    kinds: tuple[str, ...] = ()
    conditions: tuple[ControllerCondition, ...] = ()


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    class_name: str
    listeners: tuple[Listener, ...] = ()
    conditions: tuple[ControllerCondition, ...] = ()


class Gateways(ClusterFact, FactList[Gateway], frozen=True):
    """Every Gateway; none where the Gateway API is not served."""

    def find(self, namespace: str, name: str) -> Gateway | None:
        return next((g for g in self.items if (g.namespace, g.name) == (namespace, name)), None)


class ObjectReference(msgspec.Struct, frozen=True, kw_only=True):
    """What an object points to. Its namespace is filled in: the object's own where it names none."""

    group: str
    kind: str
    namespace: str
    name: str
    section: str = ""
    port: int | None = None


class RouteParent(msgspec.Struct, frozen=True):
    """What one controller says of a route at one of its parents."""

    parent: ObjectReference
    controller: str
    conditions: tuple[ControllerCondition, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTPRoute: the Gateways it is for, the pools it leads to, and what became of it."""

    namespace: str
    name: str
    parents: tuple[ObjectReference, ...] = ()
    pools: tuple[ObjectReference, ...] = ()
    statuses: tuple[RouteParent, ...] = ()


class InferenceRoutes(ClusterFact, FactList[Route], frozen=True):
    """Every HTTPRoute with a backend of kind InferencePool, of whatever group."""


class PickerConfig(msgspec.Struct, frozen=True):
    """The file that an endpoint picker starts from: where it comes from, and its text where that exists.

    `unread` says why it could not be looked at.
    """

    config_map: str
    key: str
    text: str | None = None
    unread: str = ""


class EndpointPicker(msgspec.Struct, frozen=True, kw_only=True):
    """The Service behind which a pool's endpoint picker is, and the pods that it selects.

    `ports` is None where the Service does not exist. `election` says that it is told whether to elect a
    leader among several.
    """

    reference: ObjectReference
    ports: tuple[int, ...] | None = None
    selector: dict[str, str] = {}
    pods: tuple[Pod, ...] = ()
    election: bool = False
    configs: tuple[PickerConfig, ...] = ()


class InferencePool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool: which pods it holds, who picks among them, and what each Gateway's controller makes of it.

    `dynamo` says by the labels of it or its picker that it is of one of Dynamo's graphs.
    """

    group: str
    namespace: str
    name: str
    selector: dict[str, str] = {}
    pods: tuple[Pod, ...] = ()
    picker: EndpointPicker | None = None
    statuses: tuple[RouteParent, ...] = ()
    dynamo: bool = False


class InferencePools(ClusterFact, FactList[InferencePool], frozen=True):
    """Every InferencePool of either group, and its members and endpoint picker."""
