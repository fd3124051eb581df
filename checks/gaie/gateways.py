"""Checks the Gateways that serve inference, their classes and controllers."""

from collections.abc import Iterator

from msgspec.structs import replace

from dynocheck import Finding, Result, Skip, Subject, check, fail, judged, unjudged, warn
from dynocheck.checks.gaie._scope import (
    RecipeParent,
    explain_condition,
    explain_no_gateway,
    find_controller_workloads,
    find_idle_gateways,
    find_known_controller,
    find_recipe_parents,
    find_used_classes,
    find_used_gateways,
    lacks_type,
    uses_inference_pool,
)
from dynocheck.core.outcomes import Outcome
from dynocheck.data.gateways import GatewayController
from dynocheck.facts import (
    GATEWAY_API,
    CustomResourceDefinitions,
    Gateway,
    GatewayClass,
    GatewayClasses,
    Gateways,
    InferenceRoutes,
    Recipes,
    Workload,
    Workloads,
)

_LIST = f"kubectl get gateways.{GATEWAY_API} -A"  # with the group, because Istio has a kind Gateway too
_NO_CLASS = "no Gateway that serves inference has an existing class; see gaie.class"


@check("gaie.controller", title="Controllers of inference Gateways are ready")
def controller(
    classes: GatewayClasses,
    gateways: Gateways,
    routes: InferenceRoutes,
    workloads: Workloads,
    definitions: CustomResourceDefinitions,
    recipes: Recipes | None,
) -> Iterator[Result]:
    """Without its controller a Gateway keeps its old configuration, and gets no new route or pool.

    The controller is found by the class's `controllerName`, with a table (`dynocheck/data/gateways.json`) of
    agentgateway, kgateway, Istio, Envoy Gateway, NGINX Gateway Fabric and GKE; others are not judged. GKE's
    controller is hidden from users, and Istio's may run outside the cluster. Classes that no inference route
    uses are not judged; while there is no route, those of every Gateway that could serve inference are, as a
    warning.

    Fix: kubectl get deployments -A | grep -i -e gateway -e istiod
    """
    used_gateways = find_used_gateways(gateways, classes, routes, recipes)
    idle = [] if used_gateways else find_idle_gateways(gateways, classes, routes, recipes, definitions)
    used = find_used_classes(used_gateways or idle, classes)
    if not used:
        raise Skip(_NO_CLASS if used_gateways else explain_no_gateway(routes, recipes))
    rows = [(found, find_known_controller(found)) for found in used]
    for found, row in rows:
        if row is None or row.managed:
            subject = Subject("GatewayClass", found.name)
            yield unjudged(str(subject), why=_explain_unjudged(found, row), subject=subject)
        else:
            yield judged(1, "GatewayClasses")
            findings = _check_workloads(found, row, list(find_controller_workloads(row, workloads)))
            yield from (replace(f, outcome=Outcome.WARN) for f in findings) if idle else findings


def _explain_unjudged(gateway_class: GatewayClass, row: GatewayController | None) -> str:
    if row is None:
        return f"controller {gateway_class.controller} of class {gateway_class.name} is unknown to dynocheck"
    return f"{row.product}, of class {gateway_class.name}, runs outside the cluster"


def _check_workloads(
    gateway_class: GatewayClass, row: GatewayController, workloads: list[Workload]
) -> Iterator[Finding]:
    subject, controller_name = Subject("GatewayClass", gateway_class.name), gateway_class.controller
    if not workloads:
        evidence = {"controller": controller_name, "labels": [dict(labels) for labels in row.labels]}
        if row.outside and explain_condition(gateway_class.conditions, "Accepted") is None:
            yield warn(
                f"no workload of its controller, {row.product}, found; it may run in another cluster",
                fix="kubectl get deployments -A --show-labels",
                evidence=evidence,
                subject=subject,
            )
        else:
            yield fail(
                f"no workload of its controller, {row.product}, found",
                fix=f"install {row.product}, see {row.source}",
                evidence=evidence,
                subject=subject,
            )
        return
    report = warn if any(workload.is_ready or workload.ready for workload in workloads) else fail
    for workload in workloads:
        if not workload.is_ready:
            yield report(
                f"{workload.ready} of {workload.desired} pods of {row.product} are ready"
                + (f": {workload.refusal}" if workload.refusal else ""),
                fix=f"kubectl describe {workload.kind.lower()} -n {workload.namespace} {workload.name}",
                evidence={"class": gateway_class.name, "controller": controller_name},
                subject=Subject(workload.kind, workload.name, workload.namespace),
            )


@check("gaie.class", title="Classes of inference Gateways are accepted")
def gateway_class(
    classes: GatewayClasses, gateways: Gateways, routes: InferenceRoutes, recipes: Recipes | None
) -> Iterator[Finding]:
    """No controller runs the Gateways of a class that is not accepted.

    Only the classes of Gateways that inference routes or recipes use are judged.

    Fix: kubectl describe gatewayclass NAME
    """
    used = find_used_gateways(gateways, classes, routes, recipes)
    if not used:
        raise Skip(explain_no_gateway(routes, recipes))
    for gateway in used:
        if classes.find(gateway.class_name) is None:
            yield fail(
                f"GatewayClass {gateway.class_name} does not exist",
                fix="kubectl get gatewayclasses",
                evidence={"classes": [found.name for found in classes]},
                subject=_make_subject(gateway),
            )
    for found in find_used_classes(used, classes):
        if (message := explain_condition(found.conditions, "Accepted")) is not None:
            yield fail(
                message,
                fix=f"kubectl describe gatewayclass {found.name}",
                evidence={"controller": found.controller},
                subject=Subject("GatewayClass", found.name),
            )


@check(
    "gaie.gateway",
    title="Inference Gateways are programmed",
    explained_by={"gaie.gateway-crds": lacks_type("gateways", "gateways")},
)
def gateway(
    classes: GatewayClasses,
    gateways: Gateways,
    routes: InferenceRoutes,
    definitions: CustomResourceDefinitions,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """A Gateway accepts requests once its controller reports Programmed for its current generation.

    Judged are the Gateways that inference routes or recipes name. A recipe that uses an inference pool but
    names no Gateway needs at least one of a known controller. While there is no route and the inference
    extension is installed, one of a known controller that is not programmed is a warning.

    Fix: kubectl describe gateways.gateway.networking.k8s.io -n NAMESPACE NAME
    """
    used = find_used_gateways(gateways, classes, routes, recipes)
    missing = list(_report_missing(gateways, recipes))
    yield from missing
    idle = find_idle_gateways(gateways, classes, routes, recipes, definitions)
    if not used and not missing:
        if not uses_inference_pool(recipes):
            if not idle:
                raise Skip(explain_no_gateway(routes, recipes))
            for idle_gateway in idle:
                yield from (replace(f, outcome=Outcome.WARN) for f in _check_conditions(idle_gateway))
            return
        yield fail(
            "the recipe uses an inference pool, but no Gateway can route to it",
            fix="create a Gateway of a class that serves inference pools, then: " + _LIST,
            evidence={"gateways": [f"{g.namespace}/{g.name}" for g in gateways]},
        )
    for used_gateway in used:
        yield from _check_conditions(used_gateway)


def _report_missing(gateways: Gateways, recipes: Recipes | None) -> Iterator[Finding]:
    for parent in find_recipe_parents(recipes):
        if not _find_namespaces(parent, gateways):
            where = f"in namespace {parent.namespace}" if parent.namespace else "in any namespace"
            others = [f"{g.namespace}/{g.name}" for g in gateways]
            yield fail(
                f"the route's Gateway {parent.name} does not exist {where}",
                fix=f"create Gateway {parent.name}, of a class that serves inference pools"
                + (f", or use one of: {', '.join(others)}" if others else ""),
                evidence={"gateways": others},
                location=parent.location,
            )


def _find_namespaces(parent: RecipeParent, gateways: Gateways) -> list[str]:
    """The namespaces of the Gateways that the parentRef may refer to."""
    return [
        g.namespace for g in gateways if g.name == parent.name and parent.namespace in (None, g.namespace)
    ]


def _check_conditions(gateway: Gateway) -> Iterator[Finding]:
    fix = f"kubectl describe gateways.{GATEWAY_API} -n {gateway.namespace} {gateway.name}"
    subject = _make_subject(gateway)
    if (message := explain_condition(gateway.conditions, "Programmed")) is not None:
        yield fail(message, fix=fix, evidence={"class": gateway.class_name}, subject=subject)
        return
    for listener in gateway.listeners:
        for condition in listener.conditions:
            if condition.type in ("Accepted", "ResolvedRefs") and condition.status == "False":
                reason = explain_condition([condition], condition.type)
                yield warn(f"listener {listener.name}: {reason}", fix=fix, subject=subject)


def _make_subject(gateway: Gateway) -> Subject:
    return Subject("Gateway", gateway.name, gateway.namespace)
