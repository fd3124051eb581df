"""Checks the ports, paths and startup budgets of a graph's probes."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.engines import detect_engine, find_instances
from dynocheck.engines.memory_budget import resolve_model_id
from dynocheck.engines.model_lookup import resolve_model
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
_SYSTEM = 9090  # what the operator has the status server of every component listen on
_HTTP = 8000
_SYSTEM_PATHS = ("/live", "/health", "/metrics")
_HTTP_PATHS = (*_SYSTEM_PATHS, "/v1/models", "/openapi.json", "/docs")
_SECONDS = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}


class _Probe(NamedTuple):
    """A probe that a component brings: its name, and how it is written."""

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
def probes(recipes: Recipes) -> Iterator[Finding]:
    """A probe of a port that nobody listens on fails, and the kubelet starts the container again and again,
    or never calls it ready.

    A worker of Dynamo answers `/live` and `/health` on port 9090, or the one that DYN_SYSTEM_PORT names; a
    frontend on port 8000 too, or the one of `--http-port` or DYN_HTTP_PORT. Named ports, ports that
    the container declares for something else, and containers that start nothing of Dynamo are not judged,
    nor paths where variables may move them. A number in quotes is no port: the API server takes it for a
    name, and refuses the pod.

    Fix: httpGet: {path: /live, port: 9090}
    """
    judged = False
    for probe in _find_own_probes(recipes):
        answers = _find_paths(probe.component)
        if (port := _find_quoted_port(probe)) is not None:
            judged = True
            yield fail(
                f'{probe.component.name}: its {probe.name} asks port "{port.data}", which in quotes is a '
                "name, and a name has a letter: its pods are refused",
                fix=f"set port: {port.data}",
                location=Location(probe.graph.file, port.line, port.column),
            )
        elif answers:
            judged = True
            yield from _check_target(probe, answers)
    if not judged:
        raise Skip("no component of a graph brings a probe of its own")


@check("graph.startup-budget", title="Startup probes allow time to load the weights")
def startup_budget(recipes: Recipes, settings: Settings) -> Iterator[Finding]:
    """A container whose startup probe has failed `failureThreshold` times, `periodSeconds` apart, is started
    anew, and reads its weights from the beginning: it never gets ready.

    The time is compared with what reading the weights takes, divided by the nodes of a replica. How fast a
    pod reads depends on the site: `read-gigabytes` of the configuration's `[thresholds]` says it in GB a
    second, 1 unless it is set. More time than that is no promise, for engines compile and capture graphs
    after it. A component without a startup probe gets the operator's, which gives two hours. Models whose
    size is not known are not judged.

    Fix: startupProbe: {httpGet: {path: /live, port: 9090}, periodSeconds: 10, failureThreshold: 360}
    """
    judged = False
    for probe in _find_own_probes(recipes):
        size = _find_weight_bytes(probe) if probe.name == "startupProbe" else None
        if size is None:
            continue
        judged = True
        speed = settings.read_gigabytes
        given, needed = _compute_budget(probe.value), round(size / 1e9 / speed / probe.component.nodes)
        if given < needed:
            yield warn(
                f"{probe.component.name} has {given} s to start, and {size / 1e9:.0f} GB of weights to read, "
                f"which take {needed} s at {speed:g} GB/s{_describe_nodes(probe.component)}",
                fix=f"set failureThreshold: {-(-2 * needed // _read_seconds(probe.value, 'periodSeconds'))}, "
                "or set read-gigabytes to what a pod reads there a second",
                location=_locate_threshold(probe),
            )
    if not judged:
        raise Skip("no startup probe of its own for an engine whose weights are known")


def _describe_nodes(component: Component) -> str:
    return f" on each of {component.nodes} nodes" if component.nodes > 1 else ""


def _locate_threshold(probe: _Probe) -> Location:
    value = probe.value.get("failureThreshold") or probe.value
    return Location(probe.graph.file, value.line, value.column)


def _find_weight_bytes(probe: _Probe) -> float | None:
    """The bytes that the engine of a component reads, None when they are not known."""
    for engine in find_instances(probe.graph):
        if engine.component is probe.component and engine.container is probe.component.main:
            name = resolve_model_id(probe.recipe, engine.container.mounts, engine.model)
            row = resolve_model(probe.recipe, probe.graph, engine.model, name) if engine.model else None
            return row.weight_bytes if row is not None else None
    return None


def _read_seconds(probe: Value, key: str) -> int:
    found = probe.get(key)
    given = found.data if found is not None else None
    return given if isinstance(given, int) and given > 0 else _SECONDS[key]


def _compute_budget(probe: Value) -> int:
    each = _read_seconds(probe, "periodSeconds") * _read_seconds(probe, "failureThreshold")
    return _read_seconds(probe, "initialDelaySeconds") + each


def _find_paths(component: Component) -> dict[int, tuple[str, ...]]:
    """The paths that its main container answers, by port; none when that is not known."""
    main = component.main
    if main is None:
        return {}
    engines = [launch for launch in main.launches if detect_engine(launch)]
    frontends = [launch for launch in main.launches if launch.module == "dynamo.frontend"]
    if not (engines or frontends):
        return {}
    system = _read_variable(main, (engines or frontends)[0], "DYN_SYSTEM_PORT", _SYSTEM)
    if engines:
        return {system: _SYSTEM_PATHS} if system else {}
    words = [word.text for word in frontends[0].words]
    http = _read_variable(main, frontends[0], "DYN_HTTP_PORT", _HTTP)
    for i, text in enumerate(words):
        name, equals, value = (text or "").partition("=")
        if name == "--http-port":
            following = words[i + 1] if i + 1 < len(words) else None
            given = value if equals else following or ""
            http = parse_count(given)
    return {system: _SYSTEM_PATHS, http: _HTTP_PATHS} if system and http and None not in words else {}


def _read_variable(container: Container, launch: Launch, name: str, default: int) -> int | None:
    """The number that a variable gives a program, by its script or else its container."""
    own = next((each for each in launch.env if each.name == name), None)
    found = own or container.find_variable(name)
    return default if found is None else parse_count(found.value)


def _find_main(template: PodTemplate) -> Value | None:
    main = template.spec.get("mainContainer")
    named = [c for c in template.containers if (name := c.get("name")) is not None and name.text == "main"]
    return main or next(iter(named or template.containers), None)


def _list_probes(template: PodTemplate) -> Iterator[tuple[str, Value]]:
    main = _find_main(template)
    for holder in (template.around, main):
        for name in _PROBES:
            probe = holder.get(name) if holder is not None else None
            if probe is not None:
                yield name, probe


def _find_quoted_port(probe: _Probe) -> Value | None:
    """The port of a probe, where it is a number that is written as text."""
    found = (probe.value.get(how, "port") for how in ("httpGet", "tcpSocket"))
    return next((port for port in found if port is not None and (port.text or "").isdecimal()), None)


def _check_target(probe: _Probe, answers: dict[int, tuple[str, ...]]) -> Iterator[Finding]:
    component, template = probe.component, probe.template
    asked = probe.value.get("httpGet") or probe.value.get("tcpSocket")
    port = asked.get("port") if asked else None
    if asked is None or port is None or not isinstance(port.data, int) or port.data in _list_ports(template):
        return
    place = Location(template.manifest.file, port.line, port.column)
    if port.data not in answers:
        ports = " and ".join(map(str, answers))
        yield fail(
            f"{component.name}: its {probe.name} asks port {port.data}, it answers on {ports}",
            fix=f"set port: {next(iter(answers))}",
            location=place,
        )
        return
    path = asked.get("path")
    variables = component.main.env if component.main else ()
    moved = any(each.name.startswith("DYN_") and each.name.endswith("_PATH") for each in variables)
    if path is not None and path.text not in answers[port.data] and not moved:
        yield fail(
            f"{component.name}: its {probe.name} asks for {path.text} on port {port.data}, "
            f"where it answers {', '.join(answers[port.data])}",
            fix="set path: /live, or /health",
            location=Location(template.manifest.file, path.line, path.column),
        )


def _list_ports(template: PodTemplate) -> set[int]:
    """The ports that its main container declares."""
    main = _find_main(template)
    ports = main.get("ports") if main is not None else None
    numbers = (port.get("containerPort") for port in (ports.sequence if ports else ()))
    return {number.data for number in numbers if number is not None and isinstance(number.data, int)}
