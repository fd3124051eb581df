"""Whether the routes of a recipe lead to the graphs that they are for."""

import re
from collections.abc import Iterator, Sequence

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.checks.gaie._scope import GROUPS, find_pool_backends, get_text
from dynocheck.engines import find_instances
from dynocheck.facts import GAIE, Graph, Manifest, Recipe, Recipes, Value

_PORT = 8000
_MODEL_HEADER = "x-gateway-model-name"
_MIN_TIMEOUT_S = 60  # seconds that a long answer surely takes longer than
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_MAX_DURATION_CHARS = 40  # characters of a duration that the API server takes, and then some
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}


@check("gaie.recipe-route", title="Inference routes of a recipe lead to the pools of its graphs")
def recipe_route(recipes: Recipes) -> Iterator[Finding]:
    """Dynamo's operator makes an InferencePool `<graph>-pool` of group inference.networking.k8s.io for each
    graph with an endpoint picker, whose pods are asked on port 8000. A route to another pool answers 500, one
    that matches the name of another model 404.

    A rule without a request timeout has the Gateway's own (30 s on GKE), which cuts long answers short; `0s`
    means none. Pools that the recipe brings itself count; a recipe with no graph behind a picker is not
    judged.

    Fix: name <graph>-pool in backendRefs, and set timeouts: {request: 300s}
    """
    judged = False
    for recipe in recipes:
        for manifest in recipe.manifests:
            for rule in _get_items(manifest.root, "spec", "rules") if find_pool_backends(manifest) else ():
                judged = True
                yield from _check_rule(recipe, manifest, rule)
            if find_pool_backends(manifest):
                yield from _check_parents(recipe, manifest)
    if not judged:
        raise Skip("no HTTPRoute of a recipe leads to an InferencePool")


def _get_items(value: Value, *path: str) -> Sequence[Value]:
    found = value.get(*path)
    return found.sequence if found else []


def _locate(manifest: Manifest, value: Value) -> Location:
    return Location(manifest.file, value.line, value.column)


def _find_picker_graphs(recipe: Recipe) -> list[Graph]:
    return [graph for graph in recipe.graphs if any(c.role == "epp" for c in graph.components)]


def _check_rule(recipe: Recipe, manifest: Manifest, rule: Value) -> Iterator[Finding]:
    backends = [b for b in _get_items(rule, "backendRefs") if get_text(b, "kind") == "InferencePool"]
    for backend in backends:
        yield from _check_backend(recipe, manifest, backend)
        graph = next(
            (g for g in _find_picker_graphs(recipe) if f"{g.name}-pool" == get_text(backend, "name")), None
        )
        if graph is not None:
            yield from _check_matches(manifest, rule, graph)
    if backends:
        yield from _check_timeouts(manifest, rule)


def _check_backend(recipe: Recipe, manifest: Manifest, backend: Value) -> Iterator[Finding]:
    name, group = get_text(backend, "name"), get_text(backend, "group")
    made = sorted(f"{graph.name}-pool" for graph in _find_picker_graphs(recipe))
    brought = {m.name for m in recipe.manifests if m.kind == "InferencePool"}
    plain = {f"{graph.name}-pool" for graph in recipe.graphs} - set(made)
    place = _locate(manifest, backend.get("name") or backend)
    if group not in GROUPS or (group != GAIE and name in made):
        yield fail(
            f"route {manifest.name} names pool {name} in group {group or '(core)'}, "
            f"Dynamo's operator makes those of {GAIE}",
            fix=f"set group: {GAIE}",
            location=_locate(manifest, backend.get("group") or backend),
        )
    elif name in plain - brought:
        yield fail(
            f"route {manifest.name} leads to pool {name}, and its graph has no endpoint picker: "
            "the operator makes no pool for it",
            fix="add a component of type epp, or lead the route to the frontend's Service",
            location=place,
        )
    elif made and name not in {*made, *brought}:
        yield fail(
            f"route {manifest.name} leads to pool {name}, the operator makes {', '.join(made)}",
            fix=f"set name: {made[0]}",
            location=place,
        )
    port = backend.get("port")
    if port is not None and name in made and port.data != _PORT:
        yield warn(
            f"route {manifest.name} names port {port.plain} of pool {name}, whose pods are asked on {_PORT}",
            fix=f"set port: {_PORT}",
            location=_locate(manifest, port),
        )


def _check_matches(manifest: Manifest, rule: Value, graph: Graph) -> Iterator[Finding]:
    engines = list(find_instances(graph))
    if any(engine.given.get("enable-lora", "lora-modules", "lora-paths") for engine in engines):
        return  # whose adapters are served under names of their own
    names = sorted({engine.engine.served_name(engine.given) or "" for engine in engines})
    headers = [h for match in _get_items(rule, "matches") for h in _get_items(match, "headers")]
    for header in headers:
        exact = get_text(header, "type") in ("", "Exact")
        asked = get_text(header, "value")
        selects = get_text(header, "name").lower() == _MODEL_HEADER and exact
        if selects and names and "" not in names and asked not in names:
            yield fail(
                f"route {manifest.name} takes requests for {asked}, graph {graph.name} serves "
                f"{', '.join(names)}",
                fix=f"set value: {names[0]}",
                location=_locate(manifest, header.get("value") or header),
            )


def _check_timeouts(manifest: Manifest, rule: Value) -> Iterator[Finding]:
    limits = rule.get("timeouts")
    named = [v for key in ("request", "backendRequest") if limits and (v := limits.get(key)) is not None]
    if not named:
        yield warn(
            f"route {manifest.name} sets no request timeout: the Gateway's own cuts long answers short "
            "(30 s on GKE)",
            fix="add timeouts: {request: 300s}",
            location=_locate(manifest, rule),
        )
    for value in named:
        seconds = _parse_duration(value.text or "")
        if seconds is not None and 0 < seconds < _MIN_TIMEOUT_S:
            yield warn(
                f"route {manifest.name} ends every answer after {value.text}",
                fix="set it to what the longest answer takes, such as 300s, or to 0s for no limit",
                location=_locate(manifest, value),
            )


def _parse_duration(duration: str) -> float | None:
    parts = _DURATION.findall(duration[:_MAX_DURATION_CHARS])
    return sum(float(n) * _SECONDS[unit] for n, unit in parts) if parts else None


def _check_parents(recipe: Recipe, manifest: Manifest) -> Iterator[Finding]:
    """Gateways that the recipe brings, and the route does not reach."""
    brought = [m for m in recipe.manifests if m.kind == "Gateway"]
    own = get_text(manifest.root, "metadata", "namespace")
    parents = _get_items(manifest.root, "spec", "parentRefs")
    if not parents:
        yield fail(
            f"route {manifest.name} names no Gateway, so none serves it",
            fix="add parentRefs",
            location=_locate(manifest, manifest.root.get("spec") or manifest.root),
        )
    for parent in parents:
        wanted = get_text(parent, "namespace") or own
        homes = {
            get_text(g.root, "metadata", "namespace") for g in brought if g.name == get_text(parent, "name")
        }
        if homes and wanted not in homes:
            home = sorted(homes)[0]
            yield fail(
                f"route {manifest.name} looks for Gateway {get_text(parent, 'name')} in "
                f"{wanted or 'its own namespace'}, the recipe puts it in {home or 'that of kubectl'}",
                fix=f"set namespace: {home}" if home else "leave namespace out of the parentRef",
                location=_locate(manifest, parent),
            )
