"""Facts about inference routing: GatewayClass, Gateway, HTTPRoute, InferencePool, endpoint picker."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact, Condition, Pod

GATEWAY_API = "gateway.networking.k8s.io"
GAIE = "inference.networking.k8s.io"
GAIE_EXPERIMENTAL = "inference.networking.x-k8s.io"


class ControllerCondition(Condition, frozen=True):
    """A condition set by a controller; `current` is false if its observedGeneration is an older one."""

    current: bool = True


class GatewayClass(msgspec.Struct, frozen=True):
    """A GatewayClass and the name of its controller."""

    name: str
    controller: str
    conditions: tuple[ControllerCondition, ...] = ()


class GatewayClasses(ClusterFact, FactList[GatewayClass], frozen=True):
    """Every GatewayClass; none if the Gateway API is not served."""

    def find(self, name: str) -> GatewayClass | None:
        return next((item for item in self.items if item.name == name), None)


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A listener of a Gateway. `routes_from` is All, Same, Selector or None; `kinds` are empty for the
    default.
    """

    name: str
    port: int = 0
    protocol: str = ""
    routes_from: str = "Same"
    kinds: tuple[str, ...] = ()
    conditions: tuple[ControllerCondition, ...] = ()


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A Gateway with its listeners and conditions."""

    namespace: str
    name: str
    class_name: str
    listeners: tuple[Listener, ...] = ()
    conditions: tuple[ControllerCondition, ...] = ()


class Gateways(ClusterFact, FactList[Gateway], frozen=True):
    """Every Gateway; none if the Gateway API is not served."""

    def find(self, namespace: str, name: str) -> Gateway | None:
        return next((g for g in self.items if (g.namespace, g.name) == (namespace, name)), None)


class ObjectReference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to an object; without a namespace of its own, it has that of the referring object."""

    group: str
    kind: str
    namespace: str
    name: str
    section: str = ""
    port: int | None = None


class RouteParent(msgspec.Struct, frozen=True):
    """The status of a route, or pool, at one of its parents, as one controller reports it."""

    parent: ObjectReference
    controller: str
    conditions: tuple[ControllerCondition, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTPRoute: its parent Gateways, the InferencePools that it routes to, and its status."""

    namespace: str
    name: str
    parents: tuple[ObjectReference, ...] = ()
    pools: tuple[ObjectReference, ...] = ()
    statuses: tuple[RouteParent, ...] = ()


class InferenceRoutes(ClusterFact, FactList[Route], frozen=True):
    """Every HTTPRoute with a backend of kind InferencePool, in any API group."""


class PickerConfig(msgspec.Struct, frozen=True):
    """A configuration file of an endpoint picker: its ConfigMap and key, and its text if that exists.

    `unread` is the reason why it could not be read.
    """

    config_map: str
    key: str
    text: str | None = None
    unread: str = ""


class EndpointPicker(msgspec.Struct, frozen=True, kw_only=True):
    """The Service of a pool's endpoint picker, and the pods that it selects.

    `ports` is None if the Service does not exist. `election` is true if the picker has a setting for leader
    election, and `light` if it is the one that the inference extension has after 1.6.
    """

    reference: ObjectReference
    ports: tuple[int, ...] | None = None
    selector: dict[str, str] = {}
    pods: tuple[Pod, ...] = ()
    election: bool = False
    light: bool = False
    configs: tuple[PickerConfig, ...] = ()


class InferencePool(msgspec.Struct, frozen=True, kw_only=True):
    """An InferencePool: its pods, its endpoint picker, and its status at each Gateway.

    `dynamo` is true if its labels, or those of its picker, are those of a Dynamo graph.
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
    """Every InferencePool of either API group."""
