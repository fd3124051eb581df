"""Checks the ports, paths and startup budgets of a graph's probes."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._coverage import describe_unjudged
from dynocheck.core.fixes import set_value
from dynocheck.engines import EngineInstance, detect_engine, find_instances
from dynocheck.engines.memory_budget import resolve_model_id
from dynocheck.engines.model_lookup import CONFIG_FILES, resolve_model
from dynocheck.facts import (
    Component,
    Container,
    Graph,
    Launch,
    PodTemplate,
    Recipe,
    Recipes,
    Settings,
    Value,
    list_pod_templates,
    parse_count,
)

_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_SYSTEM = 9090  # the port of each component's status server, which the operator sets
_HTTP = 8000
_SYSTEM_PATHS = ("/live", "/health", "/metrics")
_HTTP_PATHS = (*_SYSTEM_PATHS, "/v1/models", "/openapi.json", "/docs")
_SECONDS = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}


class _Probe(NamedTuple):
    """A probe in a component's manifest."""

    recipe: Recipe
    graph: Graph
    component: Component
    template: PodTemplate
    name: str
    value: Value


def _find_own_probes(recipes: Recipes) -> Iterator[_Probe]:
    for recipe in recipes:
        pods = {
            (t.manifest.file, t.around.line, t.around.column): t
            for t in list_pod_templates(recipe)
            if t.of_graph
        }
        for graph in recipe.graphs:
            for component in graph.components:
                template = pods.get((graph.file, component.line, component.column))
                if template is None:
                    continue
                for name, value in _list_probes(template):
                    yield _Probe(recipe, graph, component, template, name, value)


@check("graph.probes", title="Probes use the component's real port and path")
def probes(recipes: Recipes) -> Iterator[Result]:
    """A probe of a port without a listener fails, and the kubelet restarts the container again and again, or
    it never becomes ready.

    A Dynamo worker serves `/live` and `/health` on port 9090, or DYN_SYSTEM_PORT; a frontend also on port
    8000, or `--http-port` or DYN_HTTP_PORT. Not judged are named ports, ports that the container declares,
    containers without a Dynamo program, and paths if a variable DYN_*_PATH may change them. A number in
    quotes is not a port: the API server takes it as a name, and rejects the pod.

    Fix: httpGet: {path: /live, port: 9090}
    """
    probes = list(_find_own_probes(recipes))
    if not probes:
        raise Skip("no component of a graph has a probe of its own")
    for probe in probes:
        paths = _find_paths(probe.component)
        if (port := _find_quoted_port(probe)) is not None:
            yield fail(
                f'{probe.component.name}: its {probe.name} has port "{port.data}"; in quotes it is a '
                "name, which needs a letter: the API server rejects the pods",
                fix=set_value("port", int(port.text or 0)),
                location=Location(probe.graph.file, port.line, port.column),
            )
        elif not paths and _find_port(probe) is not None:
            yield unjudged(
                f"{probe.component.name}: {probe.name}",
                why="the ports of its program are unknown",
                location=Location(probe.graph.file, probe.value.line, probe.value.column),
            )
            continue
        else:
            yield from _check_target(probe, paths)
        yield judged(1, "probes")


@check("graph.startup-budget", title="Startup probes allow time to load the weights")
def startup_budget(recipes: Recipes, settings: Settings) -> Iterator[Result]:
    """The kubelet restarts a container whose startup probe fails `failureThreshold` times, `periodSeconds`
    apart. If that is too short to read the weights, the container never becomes ready.

    The time is compared with the time to read the weights, divided by the nodes of a replica. The read rate
    depends on the site: set `read-gigabytes` in the configuration's `[thresholds]`, in GB/s; the default is
    1. A passing probe may still be too short, because engines also compile and capture CUDA graphs. Without a
    startup probe a component gets the operator's, which allows two hours. Models of unknown size are not
    judged.

    Fix: startupProbe: {httpGet: {path: /live, port: 9090}, periodSeconds: 10, failureThreshold: 360}
    """
    probes = [
        (probe, engine)
        for probe in _find_own_probes(recipes)
        if probe.name == "startupProbe" and (engine := _find_engine(probe)) is not None
    ]
    if not probes:
        raise Skip("no engine with a startup probe of its own")
    for probe, engine in probes:
        size = _find_weight_bytes(probe, engine)
        if size is None:
            yield describe_unjudged(
                [engine],
                engine.model or "model",
                why="the size of its weights is unknown",
                needs=CONFIG_FILES,
            )
            continue
        yield judged(1, "startup probes")
        speed = settings.read_gigabytes
        budget, needed = _compute_budget(probe.value), round(size / 1e9 / speed / probe.component.nodes)
        if budget < needed:
            yield warn(
                f"{probe.component.name} has {budget} s to start and {size / 1e9:.0f} GB of weights to read, "
                f"which takes {needed} s at {speed:g} GB/s{_describe_nodes(probe.component)}",
                fix=set_value(
                    "failureThreshold",
                    -(-2 * needed // _read_seconds(probe.value, "periodSeconds")),
                    "or set read-gigabytes to the GB/s at which a pod reads there",
                ),
                location=_locate_threshold(probe),
            )


def _describe_nodes(component: Component) -> str:
    return f" on each of {component.nodes} nodes" if component.nodes > 1 else ""


def _locate_threshold(probe: _Probe) -> Location:
    value = probe.value.get("failureThreshold") or probe.value
    return Location(probe.graph.file, value.line, value.column)


def _find_engine(probe: _Probe) -> EngineInstance | None:
    """The engine in the container that is probed."""
    engines = (e for e in find_instances(probe.graph) if e.component is probe.component)
    return next((engine for engine in engines if engine.container is probe.component.main), None)


def _find_weight_bytes(probe: _Probe, engine: EngineInstance) -> float | None:
    """The bytes that an engine reads; None if unknown."""
    name = resolve_model_id(probe.recipe, engine.container.mounts, engine.model)
    row = resolve_model(probe.recipe, probe.graph, engine.model, name) if engine.model else None
    return row.weight_bytes if row is not None else None


def _read_seconds(probe: Value, key: str) -> int:
    value = probe.get(key)
    number = value.data if value is not None else None
    return number if isinstance(number, int) and number > 0 else _SECONDS[key]


def _compute_budget(probe: Value) -> int:
    attempts = _read_seconds(probe, "periodSeconds") * _read_seconds(probe, "failureThreshold")
    return _read_seconds(probe, "initialDelaySeconds") + attempts


def _find_paths(component: Component) -> dict[int, tuple[str, ...]]:
    """The paths that its main container serves, by port; empty if unknown."""
    main = component.main
    launches = main.launches if main is not None else ()
    engine = next((launch for launch in launches if detect_engine(launch)), None)
    frontend = next((launch for launch in launches if launch.module == "dynamo.frontend"), None)
    launch = engine or frontend
    if main is None or launch is None:
        return {}
    system = _read_port(main, launch, "DYN_SYSTEM_PORT", _SYSTEM)
    if engine is not None:
        return {system: _SYSTEM_PATHS} if system else {}
    http = _find_http_port(main, launch)
    return {system: _SYSTEM_PATHS, http: _HTTP_PATHS} if system and http else {}


def _find_http_port(container: Container, frontend: Launch) -> int | None:
    """The port on which a frontend serves HTTP; None if unknown."""
    words = [word.text for word in frontend.words if word.text is not None]
    if len(words) < len(frontend.words):
        return None
    port = _read_port(container, frontend, "DYN_HTTP_PORT", _HTTP)
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        if name == "--http-port":
            port = parse_count(value if equals else following)
    return port


def _read_port(container: Container, launch: Launch, variable: str, default: int) -> int | None:
    """The port that a variable sets, in the launch's script or else its container; None if unknown."""
    found = container.find_variable(variable, launch)
    return default if found is None else parse_count(found.value)


def _find_main(template: PodTemplate) -> Value | None:
    main = template.spec.get("mainContainer")
    named = [container for container in template.containers if container.get_text("name") == "main"]
    return main or next(iter(named or template.containers), None)


def _list_probes(template: PodTemplate) -> Iterator[tuple[str, Value]]:
    main = _find_main(template)
    for holder in (template.around, main):
        for name in _PROBES:
            probe = holder.get(name) if holder is not None else None
            if probe is not None:
                yield name, probe


def _find_quoted_port(probe: _Probe) -> Value | None:
    """The port of a probe if it is a number in quotes."""
    ports = (probe.value.get(handler, "port") for handler in ("httpGet", "tcpSocket"))
    return next((port for port in ports if port is not None and (port.text or "").isdecimal()), None)


def _find_port(probe: _Probe) -> Value | None:
    """The port of a probe, if it is a number that the component does not declare."""
    target = probe.value.get("httpGet") or probe.value.get("tcpSocket")
    port = target.get("port") if target else None
    declared = port is None or not isinstance(port.data, int) or port.data in _list_ports(probe.template)
    return None if declared else port


def _check_target(probe: _Probe, paths: dict[int, tuple[str, ...]]) -> Iterator[Finding]:
    component, template = probe.component, probe.template
    target = probe.value.get("httpGet") or probe.value.get("tcpSocket")
    port = _find_port(probe)
    if target is None or port is None:
        return
    place = Location(template.manifest.file, port.line, port.column)
    served = paths.get(port.data) if isinstance(port.data, int) else None
    if served is None:
        ports = " and ".join(map(str, paths))
        yield fail(
            f"{component.name}: its {probe.name} uses port {port.data}, it listens on {ports}",
            fix=set_value("port", next(iter(paths))),
            location=place,
        )
        return
    path = target.get("path")
    variables = component.main.env if component.main else ()
    configurable = any(var.name.startswith("DYN_") and var.name.endswith("_PATH") for var in variables)
    if path is not None and path.text not in served and not configurable:
        yield fail(
            f"{component.name}: its {probe.name} requests {path.text} on port {port.data}, "
            f"which serves {', '.join(served)}",
            fix=set_value("path", served[0]),
            location=Location(template.manifest.file, path.line, path.column),
        )


def _list_ports(template: PodTemplate) -> set[int]:
    """The ports that its main container declares."""
    main = _find_main(template)
    numbers = (port.get("containerPort") for port in (main.get_items("ports") if main is not None else ()))
    return {number.data for number in numbers if number is not None and isinstance(number.data, int)}
