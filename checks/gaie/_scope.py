"""Selects the Gateway API objects that serve inference, on a cluster or in a recipe."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dynocheck import Finding, Location
from dynocheck.core.explanations import Relation
from dynocheck.data.gateways import GatewayController, gateway_controller
from dynocheck.facts import (
    GAIE,
    GAIE_EXPERIMENTAL,
    GATEWAY_API,
    ControllerCondition,
    CustomResourceDefinitions,
    Gateway,
    GatewayClass,
    GatewayClasses,
    Gateways,
    InferenceRoutes,
    Manifest,
    ObjectReference,
    Recipes,
    Value,
    Workload,
    Workloads,
)

GROUPS = (GAIE, GAIE_EXPERIMENTAL)
NOTHING = "no HTTPRoute and no recipe uses an inference pool"
_PROXY = "gateway.networking.k8s.io/gateway-name"  # on the proxies that a controller runs for its Gateways


class RecipeParent(NamedTuple):
    """A Gateway in the parentRefs of a recipe's route; its namespace is None if the files do not set it."""

    name: str
    namespace: str | None
    location: Location


def lacks_type(plural: str, key: str) -> Relation:
    """A relation: the cluster lacks this resource type, and so the object that the finding misses.

    :param key: the evidence under which the finding lists the objects that there are.
    """

    def is_missing(cause: Finding, effect: Finding) -> bool:
        name = cause.subject.name if cause.subject else ""
        return name.startswith(f"{plural}.") and effect.evidence.get(key) == []

    return is_missing


def uses_inference_pool(recipes: Recipes | None) -> bool:
    """Whether a recipe routes through an inference pool."""
    return any(
        any(component.role == "epp" for graph in recipe.graphs for component in graph.components)
        or any(manifest.group in GROUPS or find_pool_backends(manifest) for manifest in recipe.manifests)
        for recipe in recipes or ()
    )


def find_pool_backends(manifest: Manifest) -> list[Value]:
    """The inference pools in the backendRefs of a recipe's HTTPRoute; empty for other kinds."""
    if manifest.kind != "HTTPRoute" or manifest.group != GATEWAY_API:
        return []
    backends = (
        backend
        for rule in manifest.root.get_items("spec", "rules")
        for backend in rule.get_items("backendRefs")
    )
    return [backend for backend in backends if backend.get_text("kind") == "InferencePool"]


def find_recipe_parents(recipes: Recipes | None) -> Iterator[RecipeParent]:
    """The Gateways in the parentRefs of the recipes' inference routes."""
    for recipe in recipes or ():
        for manifest in recipe.manifests:
            if find_pool_backends(manifest):
                own = manifest.root.get_text("metadata", "namespace")
                for parent in manifest.root.get_items("spec", "parentRefs"):
                    if parent.get_text("kind") in ("", "Gateway"):
                        place = Location(manifest.file, parent.line, parent.column)
                        namespace = parent.get_text("namespace") or own or None
                        yield RecipeParent(parent.get_text("name"), namespace, place)


def explain_no_gateway(routes: InferenceRoutes, recipes: Recipes | None) -> str:
    """Why there is no Gateway to judge."""
    if len(routes):
        return "no Gateway of an inference route exists; see gaie.route"
    if uses_inference_pool(recipes):
        return "the recipe can use no Gateway of the cluster; see gaie.gateway"
    return NOTHING


def is_gateway(parent: ObjectReference) -> bool:
    return (parent.group, parent.kind) == (GATEWAY_API, "Gateway")


def find_used_gateways(
    gateways: Gateways, classes: GatewayClasses, routes: InferenceRoutes, recipes: Recipes | None
) -> list[Gateway]:
    """The Gateways in the parentRefs of inference routes, on the cluster or in recipes.

    A recipe with an endpoint picker but without a route can use any Gateway of a known controller; if some of
    those work, only they are returned.
    """
    parents = {(p.namespace, p.name) for route in routes for p in route.parents if is_gateway(p)}
    recipe_parents = list(find_recipe_parents(recipes))
    used = [
        g
        for g in gateways
        if (g.namespace, g.name) in parents
        or any(p.name == g.name and p.namespace in (None, g.namespace) for p in recipe_parents)
    ]
    if used or recipe_parents or not uses_inference_pool(recipes):
        return used
    usable = [g for g in gateways if find_known_controller(classes.find(g.class_name)) is not None]
    return [g for g in usable if explain_condition(g.conditions, "Programmed") is None] or usable


def find_idle_gateways(
    gateways: Gateways,
    classes: GatewayClasses,
    routes: InferenceRoutes,
    recipes: Recipes | None,
    definitions: CustomResourceDefinitions,
) -> list[Gateway]:
    """The Gateways that could serve inference, where its types are installed and nothing routes to it yet."""
    if len(routes) or uses_inference_pool(recipes) or not any(d.group in GROUPS for d in definitions):
        return []
    return [g for g in gateways if find_known_controller(classes.find(g.class_name)) is not None]


def find_used_classes(gateways: Iterable[Gateway], classes: GatewayClasses) -> list[GatewayClass]:
    """The existing classes of these Gateways, without duplicates."""
    names = dict.fromkeys(gateway.class_name for gateway in gateways)
    return [found for name in names if (found := classes.find(name)) is not None]


def find_known_controller(gateway_class: GatewayClass | None) -> GatewayController | None:
    """The data about the controller of a class; None if there is none."""
    return None if gateway_class is None else gateway_controller(gateway_class.controller)


def find_controller_workloads(row: GatewayController, workloads: Workloads) -> Sequence[Workload]:
    """The workloads of a controller, without the proxies of its Gateways."""
    candidates = [workload for workload in workloads if _PROXY not in workload.pod_labels]
    labelled = [w for w in candidates if any(labels.items() <= w.pod_labels.items() for labels in row.labels)]
    if labelled or not row.fallback:
        return labelled
    return [w for w in candidates if row.fallback.items() <= w.pod_labels.items()]


def explain_condition(conditions: Iterable[ControllerCondition], kind: str) -> str | None:
    """Why this condition does not hold for the current generation; None if it holds."""
    condition = next((c for c in conditions if c.type == kind), None)
    if condition is None:
        return f"its controller has not reported {kind}"
    if condition.status != "True":
        reason = ": ".join(part for part in (condition.reason, condition.message) if part)
        return f"{kind} is {condition.status}" + (f": {reason}" if reason else "")
    if not condition.current:
        return f"{kind} is of an older generation: its controller has not processed the last change"
    return None
