"""The facts of a healthy way from a Gateway to a pool, to be changed one at a time."""

from typing import Any

from msgspec.structs import replace

from dynocheck.facts import (
    GAIE,
    GATEWAY_API,
    ControllerCondition,
    EndpointPicker,
    Gateway,
    GatewayClass,
    GatewayClasses,
    Gateways,
    InferencePool,
    InferencePools,
    InferenceRoutes,
    Listener,
    ObjectReference,
    Pod,
    Route,
    RouteParent,
    Workload,
    Workloads,
)

CONTROLLER = "agentgateway.dev/agentgateway"
HOME = "gateways"
PLACE = "serving"
PICKER = {"app": "epp"}


def make_conditions(
    *kinds: str, status: str = "True", reason: str = "", current: bool = True
) -> tuple[ControllerCondition, ...]:
    return tuple(ControllerCondition(kind, status, reason, "", current) for kind in kinds)


CLASS = GatewayClass("agw", CONTROLLER, make_conditions("Accepted"))
LISTENER = Listener(name="http", port=80, protocol="HTTP", routes_from="All")
GATEWAY = Gateway(
    namespace=HOME,
    name="gw",
    class_name="agw",
    listeners=(LISTENER,),
    conditions=make_conditions("Accepted", "Programmed"),
)
PARENT = ObjectReference(group=GATEWAY_API, kind="Gateway", namespace=HOME, name="gw")
BACKEND = ObjectReference(group=GAIE, kind="InferencePool", namespace=PLACE, name="pool", port=8000)
STATUS = RouteParent(PARENT, CONTROLLER, make_conditions("Accepted", "ResolvedRefs"))
ROUTE = Route(namespace=PLACE, name="route", parents=(PARENT,), pools=(BACKEND,), statuses=(STATUS,))
SERVICE = ObjectReference(group="", kind="Service", namespace=PLACE, name="epp", port=9002)
READY = Pod(PLACE, "epp-0", "Running", ready=True)
EPP = EndpointPicker(reference=SERVICE, ports=(9002,), selector=PICKER, pods=(READY,))
POOL = InferencePool(
    group=GAIE,
    namespace=PLACE,
    name="pool",
    selector={"app": "worker"},
    pods=(Pod(PLACE, "worker-0", "Running", ready=True),),
    picker=EPP,
    dynamo=True,
)


def workload(name: str, labels: dict[str, str], **fields: Any) -> Workload:
    """A Deployment that is ready, unless the fields say otherwise."""
    made = Workload(kind="Deployment", namespace=PLACE, name=name, pod_labels=labels, desired=1, ready=1)
    return replace(made, **fields)


AGENTGATEWAY = workload(
    "agentgateway", {"agentgateway": "agentgateway"}, images=("cr.agentgateway.dev/controller:v1.0.0",)
)
DEPLOYMENT = workload("epp", PICKER)


def classes(*found: GatewayClass) -> GatewayClasses:
    return GatewayClasses(found)


def gateways(*found: Gateway) -> Gateways:
    return Gateways(found)


def routes(*found: Route) -> InferenceRoutes:
    return InferenceRoutes(found)


def pools(*found: InferencePool) -> InferencePools:
    return InferencePools(found)


def workloads(*found: Workload) -> Workloads:
    return Workloads(found)
