"""What of the Gateway API serves inference, on a cluster or in a recipe: the rest is not ours to judge."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from dynocheck import Location
from dynocheck.data.gateways import Controller, controller
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.gaie import (
    GAIE,
    GAIE_EXPERIMENTAL,
    GATEWAY_API,
    Gateway,
    GatewayClass,
    GatewayClasses,
    Gateways,
    InferenceRoutes,
    Reference,
    Reported,
)
from dynocheck.facts.k8s.workloads import Workload, Workloads
from dynocheck.facts.recipe.recipes import Manifest, Value

GROUPS = (GAIE, GAIE_EXPERIMENTAL)
NOTHING = "no HTTPRoute leads to an inference pool, and no recipe asks for one"
_PROXY = "gateway.networking.k8s.io/gateway-name"  # on what a controller runs for one of its Gateways


class RecipeParent(NamedTuple):
    """A Gateway that a route of a recipe names; its namespace only where the files tell it."""

    name: str
    namespace: str | None
    location: Location


def wanted(recipes: Recipes | None) -> bool:
    """Whether a recipe routes through an inference pool."""
    return any(
        any(component.role == "epp" for graph in recipe.graphs for component in graph.components)
        or any(manifest.group in GROUPS or pool_backends(manifest) for manifest in recipe.manifests)
        for recipe in recipes or ()
    )


def pool_backends(manifest: Manifest) -> list[Value]:
    """The backends of an HTTPRoute of a recipe that are inference pools."""
    if manifest.kind != "HTTPRoute" or manifest.group != GATEWAY_API:
        return []
    backends = (
        backend
        for rule in _sequence(manifest.root.get("spec", "rules"))
        for backend in _sequence(rule.get("backendRefs"))
    )
    return [backend for backend in backends if text(backend, "kind") == "InferencePool"]


def recipe_parents(recipes: Recipes | None) -> Iterator[RecipeParent]:
    """The Gateways that the inference routes of recipes name."""
    for recipe in recipes or ():
        for manifest in recipe.manifests:
            if pool_backends(manifest):
                own = text(manifest.root, "metadata", "namespace")
                for parent in _sequence(manifest.root.get("spec", "parentRefs")):
                    if text(parent, "kind") in ("", "Gateway"):
                        place = Location(manifest.file, parent.line, parent.column)
                        namespace = text(parent, "namespace") or own or None
                        yield RecipeParent(text(parent, "name"), namespace, place)


def text(value: Value, *path: str) -> str:
    """The string under these keys, or an empty one."""
    found = value.get(*path)
    return (found.text if found else None) or ""


def _sequence(value: Value | None) -> list[Value]:
    return value.sequence if value else []


def no_gateway(routes: InferenceRoutes, recipes: Recipes | None) -> str:
    """Why there is no Gateway to judge."""
    if len(routes):
        return "no Gateway that an inference route names exists, which gaie.route tells more of"
    if wanted(recipes):
        return "the recipe can use none of the cluster's Gateways, which gaie.gateway tells more of"
    return NOTHING


def is_gateway(parent: Reference) -> bool:
    return (parent.group, parent.kind) == (GATEWAY_API, "Gateway")


def used_gateways(
    gateways: Gateways, classes: GatewayClasses, routes: InferenceRoutes, recipes: Recipes | None
) -> list[Gateway]:
    """The Gateways that inference routes or recipes name.

    A recipe with an endpoint picker and no route of its own may be reached through any that can, and then
    one that works is enough.
    """
    named = {(p.namespace, p.name) for route in routes for p in route.parents if is_gateway(p)}
    parents = list(recipe_parents(recipes))
    found = [
        g
        for g in gateways
        if (g.namespace, g.name) in named
        or any(p.name == g.name and p.namespace in (None, g.namespace) for p in parents)
    ]
    if found or parents or not wanted(recipes):
        return found
    able = [g for g in gateways if row_of(classes.named(g.class_name)) is not None]
    return [g for g in able if wrong(g.conditions, "Programmed") is None] or able


def used_classes(gateways: Iterable[Gateway], classes: GatewayClasses) -> list[GatewayClass]:
    """The classes of these Gateways, those that exist, each once."""
    found = (classes.named(name) for name in dict.fromkeys(g.class_name for g in gateways))
    return [each for each in found if each is not None]


def row_of(found: GatewayClass | None) -> Controller | None:
    """What is known of the controller of a class."""
    return None if found is None else controller(found.controller)


def controllers(row: Controller, workloads: Workloads) -> Sequence[Workload]:
    """What runs a controller: not the proxies that it runs for its Gateways."""
    own = [workload for workload in workloads if _PROXY not in workload.pod_labels]
    found = [w for w in own if any(labels.items() <= w.pod_labels.items() for labels in row.labels)]
    if found or not row.fallback:
        return found
    return [w for w in own if row.fallback.items() <= w.pod_labels.items()]


def wrong(conditions: Iterable[Reported], kind: str) -> str | None:
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
