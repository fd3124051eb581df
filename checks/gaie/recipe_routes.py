"""Checks that a recipe's HTTPRoutes reach the pools of its graphs."""

import re
from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.gaie._scope import GROUPS, find_pool_backends
from dynocheck.core.fixes import remove, replace_words, set_value
from dynocheck.core.outcomes import Unjudged
from dynocheck.engines import find_instances
from dynocheck.facts import GAIE, Gateways, Graph, Manifest, Recipe, Recipes, Value

_PORT = 8000
_MODEL_HEADER = "x-gateway-model-name"
_MIN_TIMEOUT_S = 60  # long answers take more than this
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_MAX_DURATION_CHARS = 40  # longer than any duration that the API server accepts
_ISTIO = "networking.istio.io"  # whose installer creates the Gateway in the namespace of the graph
_UNLIMITED_CLASSES = ("istio",)  # whose Gateways end no request that has no timeout
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}


@check("gaie.recipe-route", title="Inference routes refer to the pools of their graphs")
def recipe_route(recipes: Recipes, gateways: Gateways | None = None) -> Iterator[Result]:
    """Dynamo's operator creates an InferencePool `<graph>-pool` of group inference.networking.k8s.io for each
    graph with an endpoint picker, with port 8000. A route to another pool answers 500, one that matches
    another model's name 404.

    Without a request timeout, the Gateway's own applies: GKE's ends an answer after 30 s, Istio has none.
    `0s` means none. Pools in the recipe itself are accepted.

    A parentRef without a namespace means the route's own. Dynamo's installer creates its Gateway there with
    Istio, and in agentgateway-system with agentgateway. A Gateway that the recipe does not create is judged
    by gaie.route on a cluster, and not judged without one. A sectionName or port of a parentRef must be that
    of a listener. Of an HTTPRoute that leads to Services, only its parentRefs are judged.

    Fix: use <graph>-pool in backendRefs, and set timeouts: {request: 300s}
    """
    routes = [(recipe, each) for recipe in recipes for each in recipe.manifests if find_pool_backends(each)]
    others = [(recipe, each) for recipe in recipes for each in _find_attached(recipe)]
    if not routes and not others:
        raise Skip("no HTTPRoute of a recipe refers to an InferencePool")
    for recipe, manifest in others:
        yield from _check_parents(recipe, manifest)
    for recipe, manifest in routes:
        for rule in manifest.root.get_items("spec", "rules"):
            yield from _check_rule(recipe, manifest, rule)
        yield from _check_parents(recipe, manifest)
        yield _find_doubt(recipe, manifest, gateways) or judged(1, "routes")


def _find_attached(recipe: Recipe) -> Iterator[Manifest]:
    """The HTTPRoutes without a pool that name a Gateway of the recipe."""
    names = {manifest.name for manifest in recipe.manifests if manifest.kind == "Gateway"}
    routes = (each for each in recipe.manifests if each.kind == "HTTPRoute" and not find_pool_backends(each))
    for route in routes:
        if any(parent.get_text("name") in names for parent in route.root.get_items("spec", "parentRefs")):
            yield route


def _locate(manifest: Manifest, value: Value) -> Location:
    return Location(manifest.file, value.line, value.column)


def _find_picker_graphs(recipe: Recipe) -> list[Graph]:
    return [graph for graph in recipe.graphs if any(c.role == "epp" for c in graph.components)]


def _check_rule(recipe: Recipe, manifest: Manifest, rule: Value) -> Iterator[Finding]:
    backends = [b for b in rule.get_items("backendRefs") if b.get_text("kind") == "InferencePool"]
    for backend in backends:
        yield from _check_backend(recipe, manifest, backend)
        graph = next(
            (g for g in _find_picker_graphs(recipe) if f"{g.name}-pool" == backend.get_text("name")), None
        )
        if graph is not None:
            yield from _check_matches(manifest, rule, graph)
    if backends:
        yield from _check_timeouts(recipe, manifest, rule)


def _check_backend(recipe: Recipe, manifest: Manifest, backend: Value) -> Iterator[Finding]:
    name, group = backend.get_text("name"), backend.get_text("group")
    created = sorted(f"{graph.name}-pool" for graph in _find_picker_graphs(recipe))
    own = {m.name for m in recipe.manifests if m.kind == "InferencePool"}
    without_picker = {f"{graph.name}-pool" for graph in recipe.graphs} - set(created)
    place = _locate(manifest, backend.get("name") or backend)
    if group not in GROUPS or (group != GAIE and name in created):
        yield fail(
            f"route {manifest.name} refers to pool {name} of group {group or '(core)'}, "
            f"Dynamo's operator creates pools of {GAIE}",
            fix=set_value("group", GAIE),
            location=_locate(manifest, backend.get("group") or backend),
        )
    elif name in without_picker - own:
        yield fail(
            f"route {manifest.name} refers to pool {name}, but its graph has no endpoint picker: "
            "the operator creates no pool for it",
            fix="add a component of type epp, or route to the frontend's Service",
            location=place,
        )
    elif created and name not in {*created, *own}:
        yield fail(
            f"route {manifest.name} refers to pool {name}, the operator creates {', '.join(created)}",
            fix=set_value("name", created[0]),
            location=place,
        )
    port = backend.get("port")
    if port is not None and name in created and port.data != _PORT:
        yield warn(
            f"route {manifest.name} uses port {port.plain} of pool {name}, whose pods listen on {_PORT}",
            fix=set_value("port", _PORT),
            location=_locate(manifest, port),
        )


def _check_matches(manifest: Manifest, rule: Value, graph: Graph) -> Iterator[Finding]:
    engines = list(find_instances(graph))
    if any(engine.given.get("enable-lora", "lora-modules", "lora-paths") for engine in engines):
        return  # adapters have served names of their own
    names = sorted({engine.served_name or "" for engine in engines})
    headers = [h for match in rule.get_items("matches") for h in match.get_items("headers")]
    for header in headers:
        exact = header.get_text("type") in ("", "Exact")
        model = header.get_text("value")
        selects = header.get_text("name").lower() == _MODEL_HEADER and exact
        if selects and names and "" not in names and model not in names:
            yield fail(
                f"route {manifest.name} matches requests for {model}, graph {graph.name} serves "
                f"{', '.join(names)}",
                fix=set_value("value", names[0]),
                location=_locate(manifest, header.get("value") or header),
            )


def _find_classes(recipe: Recipe, route: Manifest) -> set[str]:
    """The classes of the recipe's Gateways that a route names."""
    names = {parent.get_text("name") for parent in route.root.get_items("spec", "parentRefs")}
    gateways = (m for m in recipe.manifests if m.kind == "Gateway" and m.name in names)
    return {gateway.root.get_text("spec", "gatewayClassName") for gateway in gateways}


def _check_timeouts(recipe: Recipe, manifest: Manifest, rule: Value) -> Iterator[Finding]:
    keys = ("request", "backendRequest")
    timeouts = [value for key in keys if (value := rule.get("timeouts", key)) is not None]
    classes = _find_classes(recipe, manifest)
    if not timeouts and not (classes and classes <= {*_UNLIMITED_CLASSES}):
        gke = any(name.startswith("gke-") for name in classes)
        yield warn(
            f"route {manifest.name} sets no request timeout: "
            + ("GKE ends an answer after 30 s" if gke else "the default of its Gateway's controller applies"),
            fix=set_value("timeouts.request", "300s"),
            location=_locate(manifest, rule),
        )
    for value in timeouts:
        seconds = _parse_duration(value.text or "")
        if seconds is not None and 0 < seconds < _MIN_TIMEOUT_S:
            yield warn(
                f"route {manifest.name} has a timeout of {value.text}, which ends long answers early",
                fix=replace_words(value.text or "", "300s", "the time of the longest answer; 0s is no limit"),
                location=_locate(manifest, value),
            )


def _parse_duration(duration: str) -> float | None:
    parts = _DURATION.findall(duration[:_MAX_DURATION_CHARS])
    return sum(float(n) * _SECONDS[unit] for n, unit in parts) if parts else None


def _check_parents(recipe: Recipe, manifest: Manifest) -> Iterator[Finding]:
    """Reports a route without parentRefs, or with another namespace than the recipe's Gateway."""
    gateways = [m for m in recipe.manifests if m.kind == "Gateway"]
    own = manifest.root.get_text("metadata", "namespace")
    parents = manifest.root.get_items("spec", "parentRefs")
    if not parents:
        yield fail(
            f"route {manifest.name} has no parentRefs, so no Gateway serves it",
            fix=set_value("spec.parentRefs", [{"name": gateways[0].name if gateways else "GATEWAY"}]),
            location=_locate(manifest, manifest.root.get("spec") or manifest.root),
        )
    for parent in (each for each in parents if each.get_text("kind") in ("", "Gateway")):
        name, namespace = parent.get_text("name"), parent.get_text("namespace") or own
        namespaces = {g.root.get_text("metadata", "namespace") for g in gateways if g.name == name}
        if namespaces and namespace not in namespaces:
            actual = min(namespaces)
            yield fail(
                f"route {manifest.name} refers to Gateway {name} in {namespace or 'its own namespace'}, "
                f"the recipe creates it in {actual or 'the namespace of kubectl'}",
                fix=set_value("namespace", actual) if actual else remove("namespace"),
                location=_locate(manifest, parent),
            )
        elif namespaces:
            yield from _check_listener(manifest, parent, [g for g in gateways if g.name == name])


def _check_listener(route: Manifest, parent: Value, gateways: list[Manifest]) -> Iterator[Finding]:
    """Reports a route to a listener that the Gateway of the recipe has not."""
    listeners = [each for gateway in gateways for each in gateway.root.get_items("spec", "listeners")]
    names = sorted({each.get_text("name") for each in listeners})
    section, port = parent.get("sectionName"), parent.get("port")
    if not listeners:
        return  # it is rendered elsewhere, or is Istio's
    if section is not None and section.text and "$" not in section.text and section.text not in names:
        yield fail(
            f"route {route.name} refers to listener {section.text}, Gateway {parent.get_text('name')} has "
            f"{', '.join(names)}",
            fix=set_value("sectionName", names[0]) if len(names) == 1 else None,
            location=_locate(route, section),
        )
    given = (each.get("port") for each in listeners)
    ports = sorted({each.data for each in given if each is not None and isinstance(each.data, int)})
    if port is not None and isinstance(port.data, int) and port.data not in ports:
        yield fail(
            f"route {route.name} refers to port {port.data}, Gateway {parent.get_text('name')} listens on "
            f"{', '.join(map(str, ports))}",
            fix=set_value("port", ports[0]) if len(ports) == 1 else None,
            location=_locate(route, port),
        )


def _find_doubt(recipe: Recipe, route: Manifest, gateways: Gateways | None) -> Unjudged | None:
    """The first parentRef without a namespace to a Gateway that others create, maybe elsewhere."""
    own = {each.name for each in recipe.manifests if each.kind == "Gateway"}
    if gateways is not None or any(each.group == _ISTIO for each in recipe.manifests):
        return None
    for parent in route.root.get_items("spec", "parentRefs"):
        name = parent.get_text("name")
        if parent.get_text("kind") in ("", "Gateway") and not parent.get("namespace") and name not in own:
            return unjudged(
                f"route {route.name}: Gateway {name}",
                why="the recipe does not create it, and the route takes it for one of its own namespace",
                needs="namespace in parentRefs, or --cluster",
                location=_locate(route, parent),
            )
    return None
