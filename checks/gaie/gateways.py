"""Whether a request gets from a Gateway to an inference pool."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, fail, warn
from dynocheck.checks.gaie._scope import (
    RecipeParent,
    explain_condition,
    explain_no_gateway,
    find_controller_workloads,
    find_known_controller,
    find_recipe_parents,
    find_used_classes,
    find_used_gateways,
    lacks_type,
    uses_inference_pool,
)
from dynocheck.data.gateways import GatewayController
from dynocheck.facts import (
    GATEWAY_API,
    Gateway,
    GatewayClass,
    GatewayClasses,
    Gateways,
    InferenceRoutes,
    Recipes,
    Workload,
    Workloads,
)

_LIST = f"kubectl get gateways.{GATEWAY_API} -A"  # Istio has a Gateway of its own


@check("gaie.controller", title="The controllers of the Gateways that serve inference are ready")
def controller(
    classes: GatewayClasses,
    gateways: Gateways,
    routes: InferenceRoutes,
    workloads: Workloads,
    recipes: Recipes | None,
) -> Iterator[Finding]:
    """Without its controller a Gateway keeps what it had, and takes up no new route or pool.

    The controller is found by the `controllerName` of the class, through a table
    (`dynocheck/data/gateways.json`) that knows agentgateway, kgateway, Istio, Envoy Gateway, NGINX Gateway
    Fabric and GKE; one outside the table is not judged. GKE's runs where no user sees it, and Istio's may
    run outside the cluster. Classes that no inference route uses are left out.

    Fix: kubectl get deployments -A | grep -i -e gateway -e istiod
    """
    judged_gateways = find_used_gateways(gateways, classes, routes, recipes)
    used = find_used_classes(judged_gateways, classes)
    if not used:
        raise Skip(_NO_CLASS if judged_gateways else explain_no_gateway(routes, recipes))
    rows = {found.name: find_known_controller(found) for found in used}
    judged = [(found, row) for found in used if (row := rows[found.name]) is not None and not row.managed]
    if not judged:
        raise Skip("; ".join(_explain_unseen(found, rows[found.name]) for found in used))
    for found, row in judged:
        yield from _check_workloads(found, row, list(find_controller_workloads(row, workloads)))


_NO_CLASS = "no Gateway that serves inference is of a class that exists, which gaie.class tells more of"


def _explain_unseen(found: GatewayClass, row: GatewayController | None) -> str:
    if row is None:
        return f"how to find controller {found.controller} of class {found.name} is not in the table"
    return f"{row.product} runs outside the cluster: class {found.name} and its Gateways tell how it is"


def _check_workloads(
    found: GatewayClass, row: GatewayController, running: list[Workload]
) -> Iterator[Finding]:
    subject = Subject("GatewayClass", found.name)
    if not running:
        evidence = {"controller": found.controller, "labels": [dict(labels) for labels in row.labels]}
        if row.outside and explain_condition(found.conditions, "Accepted") is None:
            yield warn(
                f"no workload of its controller, {row.product}, is in this cluster: does it run in another?",
                fix="kubectl get deployments -A --show-labels",
                evidence=evidence,
                subject=subject,
            )
        else:
            yield fail(
                f"no workload of its controller, {row.product}, exists in any namespace",
                fix=f"install {row.product}, see {row.source}",
                evidence=evidence,
                subject=subject,
            )
        return
    none = not any(each.is_ready or each.ready for each in running)
    for each in running:
        if not each.is_ready:
            yield (fail if none else warn)(
                f"{each.ready} of {each.desired} pods of {row.product} are ready",
                fix=f"kubectl describe {each.kind.lower()} -n {each.namespace} {each.name}",
                evidence={"class": found.name, "controller": found.controller},
                subject=Subject(each.kind, each.name, each.namespace),
            )


@check("gaie.class", title="The GatewayClasses that serve inference are accepted")
def gateway_class(
    classes: GatewayClasses, gateways: Gateways, routes: InferenceRoutes, recipes: Recipes | None
) -> Iterator[Finding]:
    """A class that no controller accepts has Gateways that nothing runs.

    Only classes of Gateways that inference routes or the recipe use are judged.

    Fix: kubectl describe gatewayclass NAME
    """
    used = find_used_gateways(gateways, classes, routes, recipes)
    if not used:
        raise Skip(explain_no_gateway(routes, recipes))
    for each in used:
        if classes.find(each.class_name) is None:
            yield fail(
                f"names GatewayClass {each.class_name}, which does not exist",
                fix="kubectl get gatewayclasses",
                evidence={"classes": [found.name for found in classes]},
                subject=_make_subject(each),
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
    title="The Gateways that serve inference are programmed",
    explained_by={"gaie.gateway-crds": lacks_type("gateways", "gateways")},
)
def gateway(
    classes: GatewayClasses, gateways: Gateways, routes: InferenceRoutes, recipes: Recipes | None
) -> Iterator[Finding]:
    """A Gateway takes requests once its controller says that it is Programmed, for its present generation.

    It is looked for where inference routes or the recipe say it is, in any namespace. A recipe that routes
    through a pool and names no Gateway needs at least one that can.

    Fix: kubectl describe gateways.gateway.networking.k8s.io -n NAMESPACE NAME
    """
    used = find_used_gateways(gateways, classes, routes, recipes)
    missing = list(_report_missing(gateways, recipes))
    yield from missing
    if not used and not missing:
        if not uses_inference_pool(recipes):
            raise Skip(explain_no_gateway(routes, recipes))
        yield fail(
            "the recipe routes through an inference pool, and there is no Gateway that could lead to it",
            fix="create a Gateway of a class that serves inference pools, then: " + _LIST,
            evidence={"gateways": [f"{g.namespace}/{g.name}" for g in gateways]},
        )
    for found in used:
        yield from _check_conditions(found)


def _report_missing(gateways: Gateways, recipes: Recipes | None) -> Iterator[Finding]:
    for parent in find_recipe_parents(recipes):
        if not _find_namespaces(parent, gateways):
            where = f"in namespace {parent.namespace}" if parent.namespace else "in any namespace"
            others = [f"{g.namespace}/{g.name}" for g in gateways]
            yield fail(
                f"the route names Gateway {parent.name}, which does not exist {where}",
                fix=f"create Gateway {parent.name}, of a class that serves inference pools"
                + (f", or name one of: {', '.join(others)}" if others else ""),
                evidence={"gateways": others},
                location=parent.location,
            )


def _find_namespaces(parent: RecipeParent, gateways: Gateways) -> list[str]:
    """The namespaces in which a Gateway is that the route may mean."""
    return [
        g.namespace for g in gateways if g.name == parent.name and parent.namespace in (None, g.namespace)
    ]


def _check_conditions(found: Gateway) -> Iterator[Finding]:
    fix = f"kubectl describe gateways.{GATEWAY_API} -n {found.namespace} {found.name}"
    if (message := explain_condition(found.conditions, "Programmed")) is not None:
        yield fail(message, fix=fix, evidence={"class": found.class_name}, subject=_make_subject(found))
        return
    for listener in found.listeners:
        bad = [
            c for c in listener.conditions if c.type in ("Accepted", "ResolvedRefs") and c.status == "False"
        ]
        for condition in bad:
            yield warn(
                f"listener {listener.name}: {explain_condition([condition], condition.type)}",
                fix=fix,
                subject=_make_subject(found),
            )


def _make_subject(found: Gateway) -> Subject:
    return Subject("Gateway", found.name, found.namespace)
