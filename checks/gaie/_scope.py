"""What of the Gateway API serves inference, on a cluster or in a recipe: the rest is not ours to judge."""

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
NOTHING = "no HTTPRoute leads to an inference pool, and no recipe asks for one"
_PROXY = "gateway.networking.k8s.io/gateway-name"  # on what a controller runs for one of its Gateways


class RecipeParent(NamedTuple):
    """A Gateway that a route of a recipe names; its namespace only where the files tell it."""

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
    """The backends of an HTTPRoute of a recipe that are inference pools."""
    if manifest.kind != "HTTPRoute" or manifest.group != GATEWAY_API:
        return []
    backends = (
        backend
        for rule in _to_list(manifest.root.get("spec", "rules"))
        for backend in _to_list(rule.get("backendRefs"))
    )
    return [backend for backend in backends if get_text(backend, "kind") == "InferencePool"]


def find_recipe_parents(recipes: Recipes | None) -> Iterator[RecipeParent]:
    """The Gateways that the inference routes of recipes name."""
    for recipe in recipes or ():
        for manifest in recipe.manifests:
            if find_pool_backends(manifest):
                own = get_text(manifest.root, "metadata", "namespace")
                for parent in _to_list(manifest.root.get("spec", "parentRefs")):
                    if get_text(parent, "kind") in ("", "Gateway"):
                        place = Location(manifest.file, parent.line, parent.column)
                        namespace = get_text(parent, "namespace") or own or None
                        yield RecipeParent(get_text(parent, "name"), namespace, place)


def get_text(value: Value, *path: str) -> str:
    """The string under these keys, or an empty one."""
    found = value.get(*path)
    return (found.text if found else None) or ""


def _to_list(value: Value | None) -> list[Value]:
    return value.sequence if value else []


def explain_no_gateway(routes: InferenceRoutes, recipes: Recipes | None) -> str:
    """Why there is no Gateway to judge."""
    if len(routes):
        return "no Gateway that an inference route names exists, which gaie.route tells more of"
    if uses_inference_pool(recipes):
        return "the recipe can use none of the cluster's Gateways, which gaie.gateway tells more of"
    return NOTHING


def is_gateway(parent: ObjectReference) -> bool:
    return (parent.group, parent.kind) == (GATEWAY_API, "Gateway")


def find_used_gateways(
    gateways: Gateways, classes: GatewayClasses, routes: InferenceRoutes, recipes: Recipes | None
) -> list[Gateway]:
    """The Gateways that inference routes or recipes name.

    A recipe with an endpoint picker and no route of its own may be reached through any that can, and then
    one that works is enough.
    """
    named = {(p.namespace, p.name) for route in routes for p in route.parents if is_gateway(p)}
    parents = list(find_recipe_parents(recipes))
    found = [
        g
        for g in gateways
        if (g.namespace, g.name) in named
        or any(p.name == g.name and p.namespace in (None, g.namespace) for p in parents)
    ]
    if found or parents or not uses_inference_pool(recipes):
        return found
    able = [g for g in gateways if find_known_controller(classes.find(g.class_name)) is not None]
    return [g for g in able if explain_condition(g.conditions, "Programmed") is None] or able


def find_used_classes(gateways: Iterable[Gateway], classes: GatewayClasses) -> list[GatewayClass]:
    """The classes of these Gateways, those that exist, each once."""
    found = (classes.find(name) for name in dict.fromkeys(g.class_name for g in gateways))
    return [each for each in found if each is not None]


def find_known_controller(found: GatewayClass | None) -> GatewayController | None:
    """What is known of the controller of a class."""
    return None if found is None else gateway_controller(found.controller)


def find_controller_workloads(row: GatewayController, workloads: Workloads) -> Sequence[Workload]:
    """What runs a controller: not the proxies that it runs for its Gateways."""
    own = [workload for workload in workloads if _PROXY not in workload.pod_labels]
    found = [w for w in own if any(labels.items() <= w.pod_labels.items() for labels in row.labels)]
    if found or not row.fallback:
        return found
    return [w for w in own if row.fallback.items() <= w.pod_labels.items()]


def explain_condition(conditions: Iterable[ControllerCondition], kind: str) -> str | None:
    """What keeps this condition from holding now, or None when it holds."""
    condition = next((c for c in conditions if c.type == kind), None)
    if condition is None:
        return f"{kind} is not reported: its controller has not looked at it"
    if condition.status != "True":
        why = ": ".join(part for part in (condition.reason, condition.message) if part)
        return f"{kind} is {condition.status}" + (f": {why}" if why else "")
    if not condition.current:
        return f"{kind} is about an older generation: its controller has not taken up the last change"
    return None
