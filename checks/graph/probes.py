"""Checks the ports, paths and startup budgets of a graph's probes."""

import re
from collections.abc import Iterable, Iterator, Set
from itertools import zip_longest
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._builds import find_build_servers, is_triton
from dynocheck.checks.engine._coverage import describe_unjudged
from dynocheck.checks.graph._exec_probes import check_exec_probes
from dynocheck.checks.graph._probe_fields import (
    PROBES,
    Probe,
    find_main,
    find_target_port,
    list_named_ports,
)
from dynocheck.checks.graph._server_probes import check_server_probe, find_server_probes, limits_start
from dynocheck.core.fixes import add_element, remove, set_flag, set_value, set_variable
from dynocheck.engines import EngineInstance, detect_engine, find_instances
from dynocheck.engines.memory_budget import resolve_model_id
from dynocheck.engines.model_lookup import (
    CONFIG_FILES,
    add_hub_configs,
    guess_weight_bytes,
    resolve_downloaded,
    resolve_model,
)
from dynocheck.facts import (
    Component,
    Container,
    EnvVar,
    Graph,
    HubModels,
    Launch,
    PodTemplate,
    Recipe,
    Recipes,
    Settings,
    Value,
    find_server_template,
    list_pod_templates,
    parse_count,
)

_SYSTEM = 9090  # the port of each component's status server, which the operator sets
_HTTP = 8000
# What the operator merges into the main container of a component by its type: the ports of a container that
# lists none, and the port that its probes request (deploy/operator/internal/dynamo/component_*.go).
_WORKERS = ("worker", "prefill", "decode")
_WORKER_PORTS = {"system": _SYSTEM, "nixl": 19090}
_PORTS = {
    **dict.fromkeys(_WORKERS, _WORKER_PORTS),
    "frontend": {"http": _HTTP},
    "planner": {"metrics": 9085, "system": _SYSTEM},
    "epp": {"grpc": 9002, "grpc-health": 9003, "metrics": _SYSTEM},
}
_PROBED = {**dict.fromkeys(_WORKERS, "system"), "frontend": "http"}
_PORT = re.compile(r"-?[1-9]\d{0,4}")
_OFF = re.compile(r"-\d+")
_REPLACES = ("failover", "extraPodSpecMergeStrategy")  # the operator merges such a component differently
_SYSTEM_PATHS = ("/live", "/health", "/metrics")
_HTTP_PATHS = (*_SYSTEM_PATHS, "/v1/models", "/openapi.json", "/docs")
_WITHOUT_STARTUP = 2  # an engine compiles too before it answers a livenessProbe
_GGUF = "the sizes of GGUF files are in no table"
_SECONDS = {"initialDelaySeconds": 0, "periodSeconds": 10, "failureThreshold": 3}


class _Pod(NamedTuple):
    """The pod of a component."""

    recipe: Recipe
    graph: Graph
    component: Component
    template: PodTemplate

    @property
    def main(self) -> Value | None:
        """Its main container in the manifest."""
        return find_main(self.template)

    @property
    def ports(self) -> dict[str, int]:
        """The named ports of its main container: those that it lists, else the operator's."""
        listed = list_named_ports(self.main)
        return _PORTS.get(self.component.role, {}) if listed is None else listed


def _list_pods(recipes: Iterable[Recipe]) -> Iterator[_Pod]:
    for recipe in recipes:
        templates = {
            (t.manifest.file, t.around.line, t.around.column): t
            for t in list_pod_templates(recipe)
            if t.of_graph
        }
        for graph in recipe.graphs:
            for component in graph.components:
                template = templates.get((graph.file, component.line, component.column))
                if template is not None:
                    yield _Pod(recipe, graph, component, template)


def _find_own_probes(recipes: Iterable[Recipe]) -> Iterator[Probe]:
    for pod in _list_pods(recipes):
        for name, value in _list_probes(pod.template):
            yield Probe(*pod, name, value)


@check("graph.probes", title="Probes use the component's real port and path")
def probes(recipes: Recipes) -> Iterator[Result]:
    """A probe of a port without a listener fails, and the kubelet restarts the container again and again, or
    it never becomes ready.

    A Dynamo worker serves `/live` and `/health` on port 9090, or DYN_SYSTEM_PORT; a frontend also on port
    8000, or `--http-port` or DYN_HTTP_PORT. The operator adds the probes that a component does not set: they
    request the port named `system` of a worker and `http` of a frontend. A container that lists ports has
    only those, so they must include that one, with the number on which the program listens.

    An engine without Dynamo listens on its --port, 8000 for vLLM and 30000 for SGLang, the latter only inside
    of its pod unless --host says otherwise. A probe that runs curl succeeds at whatever status the server
    answers with, unless curl has -f.

    Not judged are other ports that the container declares, containers without a Dynamo program, and paths if
    a variable DYN_*_PATH may change them. A number in quotes is not a port: the API server takes it as a
    name, and rejects the pod.

    Fix: httpGet: {path: /live, port: 9090}
    """
    pods = list(_list_pods(recipes))
    containers = [found for recipe in recipes for found in _list_named_probes(recipe)]
    servers = list(find_server_probes(recipes))
    commands = [result for recipe in recipes for result in check_exec_probes(recipe)]
    if not pods and not containers and not servers and not commands:
        raise Skip("no component of a graph, and no probe of a named port")
    yield from commands
    for probe in _find_own_probes(recipes):
        paths = _find_paths(probe.component)
        if (port := _find_quoted_port(probe)) is not None:
            yield fail(
                f'{probe.component.name}: its {probe.name} has port "{port.data}"; in quotes it is a '
                "name, which needs a letter: the API server rejects the pods",
                fix=set_value("port", int(port.text or 0)),
                location=Location(probe.graph.file, port.line, port.column),
            )
        elif paths and (scheme := _find_encryption(probe)) is not None:
            yield fail(
                f"{probe.component.name}: its {probe.name} uses HTTPS, which its program does not serve: "
                "the probe never succeeds",
                fix=remove("scheme"),
                location=Location(probe.graph.file, scheme.line, scheme.column),
            )
        elif not paths and _find_port(probe) is not None:
            if _is_off(probe.component):
                continue  # told below
            yield unjudged(
                f"{probe.component.name}: {probe.name}",
                why="the ports of its program are unknown",
                location=Location(probe.graph.file, probe.value.line, probe.value.column),
            )
            continue
        else:
            yield from _check_target(probe, paths)
        yield judged(1, "probes")
    for probe, engine in servers:
        yield from check_server_probe(probe, engine)
    for pod in pods:
        yield from _check_operator_probes(pod)
    for template, container, name, port in containers:
        yield from _check_name(template, container, name, port)


def _find_encryption(probe: Probe) -> Value | None:
    """The HTTPS of a probe's HTTP request; None where it has another scheme or its component may use TLS."""
    scheme, main = probe.value.get("httpGet", "scheme"), probe.component.main
    if scheme is None or scheme.text != "HTTPS" or main is None:
        return None
    words = [word.text or "" for launch in main.launches for word in launch.words]
    names = [variable.name for variable in main.env]
    return None if any("tls" in text.lower() for text in (*words, *names)) else scheme


def _check_operator_probes(pod: _Pod) -> Iterator[Result]:
    """Judges the port that the operator's probes of a component request, or that all request if it is off."""
    own = {name: find_target_port(value) for name, value in _list_probes(pod.template)}
    requested = {port.data for port in own.values() if port is not None}
    expected = _PROBED.get(pod.component.role)
    added = PROBES if expected == "system" else PROBES[1:]
    names = [name for name in added if name not in own]
    if expected is None or any(pod.template.around.find_entries(_REPLACES)):
        return
    number = pod.ports.get(expected)
    if expected == "system" and _is_off(pod.component):
        names += [name for name, port in own.items() if port is not None and port.data in (expected, number)]
    if names:
        yield judged(len(names), "probes")
        yield from _check_expected(pod, ", ".join(names), expected, number, requested)


def _check_expected(
    pod: _Pod, probes: str, expected: str, number: int | None, requested: Set[object]
) -> Iterator[Finding]:
    """Judges the probes of the port named `expected`, unless a finding on a probe in `requested` tells it."""
    name, file = pod.component.name, pod.graph.file
    if number is None and expected not in requested:
        at = (pod.main.get("ports") if pod.main is not None else None) or pod.template.around
        default = _PORTS[pod.component.role][expected]
        yield fail(
            f"the operator's {probes} of {name} use the port named {expected}, which its ports lack: "
            "it never becomes ready",
            fix=add_element("ports", {"name": expected, "containerPort": default}),
            location=Location(file, at.line, at.column),
        )
    moved = _find_moved(pod.component, expected, number) if number else None
    if moved is not None and (_is_off(pod.component) or number not in requested):
        setting, place = moved
        yield fail(
            f"{probes} of {name} use port {number}, on which it does not listen because of {setting}: "
            "it never becomes ready",
            fix=set_variable(place.name, number)
            if isinstance(place, EnvVar)
            else set_flag("--http-port", number),
            location=Location(file, place.line, place.column),
        )


def _find_moved(component: Component, expected: str, number: int) -> tuple[str, EnvVar | Launch] | None:
    """The setting with which a component does not listen on this port, and its place; None without one."""
    main = component.main
    if main is None:
        return None
    if expected == "http":
        frontends = [launch for launch in main.launches if launch.module == "dynamo.frontend"]
        ports = {_find_http_port(main, launch) for launch in frontends}
        if not ports or ports & {None, number}:
            return None
        return f"HTTP port {', '.join(map(str, ports))}", frontends[0]
    found = _list_system_ports(component)
    moved = [v for v in found if v is not None and _PORT.fullmatch(v.value or "") and v.value != str(number)]
    return (f"{moved[0].name}={moved[0].value}", moved[0]) if moved and len(moved) == len(found) else None


def _is_off(component: Component) -> bool:
    """Whether its status server is switched off."""
    found = _list_system_ports(component)
    return bool(found) and all(v is not None and _OFF.fullmatch(v.value or "") for v in found)


def _list_system_ports(component: Component) -> list[EnvVar | None]:
    """The variable of each of its engines that sets the port of the status server."""
    main = component.main
    launches = [launch for launch in main.launches if detect_engine(launch)] if main is not None else []
    return [main.find_variable("DYN_SYSTEM_PORT", launch) for launch in launches if main is not None]


_NamedProbe = tuple[PodTemplate, Value, str, Value]


def _list_named_probes(recipe: Recipe) -> Iterator[_NamedProbe]:
    """The probes that request a port by its name: pod, container, name of the probe, port."""
    for template in (each for each in list_pod_templates(recipe) if not each.partial):
        main = find_main(template) if template.of_graph else None
        for container in template.containers:
            holders = [template.around, container] if container is main else [container]
            for name, probe in ((n, p) for h in holders for n in PROBES if (p := h.get(n)) is not None):
                port = find_target_port(probe)
                if port is not None and port.text and not port.text.isdecimal() and "$" not in port.text:
                    yield template, container, name, port


def _check_name(template: PodTemplate, container: Value, name: str, port: Value) -> Iterator[Result]:
    named = list_named_ports(container)
    if template.of_graph and named is None:
        named = _guess_ports(template, container)
    yield judged(1, "probes")
    if port.text not in (named or {}):
        yield fail(
            f"{template.owner}: {name} of {container.get_text('name') or 'main'} uses the port named "
            f"{port.text}, and the container has no port of this name: the probe never succeeds",
            fix=f"add {{name: {port.text}, containerPort: NUMBER}} to its ports, or probe the number",
            location=Location(template.manifest.file, port.line, port.column),
        )


def _guess_ports(template: PodTemplate, container: Value) -> dict[str, int]:
    """The ports that the operator gives a container that lists none."""
    around = template.around
    if container is not find_main(template):
        is_front = container.get_text("name") == around.get_text("frontendSidecar")
        return _PORTS["frontend"] if is_front else {}
    return _PORTS.get(around.get_text("type") or around.get_text("componentType"), {})


@check("graph.startup-budget", title="Startup probes allow time to load the weights")
def startup_budget(recipes: Recipes, settings: Settings, models: HubModels | None = None) -> Iterator[Result]:
    """The kubelet restarts a container whose startup probe fails `failureThreshold` times, `periodSeconds`
    apart. If that is too short to read the weights, the container never becomes ready.

    The time is compared with the time to read the weights, divided by the nodes of a replica. The read rate
    depends on the site: set `read-gigabytes` in the configuration's `[thresholds]`, in GB/s; the default is
    1. A passing probe may still be too short, because engines also compile and capture CUDA graphs. Without a
    startup probe a component gets the operator's, which allows two hours. Without Dynamo nobody adds one: a
    liveness probe then ends an engine that loads for longer, and is to allow twice the time. The size of a
    model that no table has is estimated by a name such as llama-70b: two bytes a parameter, or half a byte
    if its name or its flags say that it is quantized. Where that gives no warning, it is not judged.

    Fix: startupProbe: {httpGet: {path: /live, port: 9090}, periodSeconds: 10, failureThreshold: 360}
    """
    described = add_hub_configs(recipes, models)
    probes = [
        (probe, engine)
        for probe in _find_own_probes(described)
        if probe.name == "startupProbe" and (engine := _find_engine(probe)) is not None
    ]
    probes += [found for found in find_server_probes(described) if limits_start(*found)]
    built = [found for recipe in described for found in _find_built_probes(recipe)]
    if not probes and not built:
        raise Skip("no engine with a startup probe of its own")
    for probe, engine in probes:
        if engine.engine.adapts:
            yield describe_unjudged([engine], engine.model or "model", why=_GGUF, needs=None)
            continue
        size = _find_weight_bytes(probe, engine)
        if size is None and (guess := guess_weight_bytes(engine)) is not None:
            short = [
                *_check_budget(probe, guess, settings.read_gigabytes, about="about ", why=", by its name")
            ]
            if short:
                yield judged(1, "startup probes")
                yield from short
                continue
        if size is None:
            yield describe_unjudged(
                [engine],
                engine.model or "model",
                why="the size of its weights is unknown",
                needs=CONFIG_FILES,
            )
            continue
        yield judged(1, "startup probes")
        yield from _check_budget(probe, size, settings.read_gigabytes)
    for probe, size in built:
        yield judged(1, "startup probes")
        yield from _check_budget(probe, size, settings.read_gigabytes)


def _check_budget(
    probe: Probe, size: float, speed: float, *, about: str = "", why: str = ""
) -> Iterator[Finding]:
    budget, needed = _compute_budget(probe.value), round(size / 1e9 / speed / probe.component.nodes)
    starts = probe.name == "startupProbe"
    factor = 1 if starts else _WITHOUT_STARTUP
    if budget < factor * needed:
        until = "to start" if starts else "until its livenessProbe ends it,"
        twice = "" if starts else ", and a start twice that"
        weights = f"{about}{size / 1e9:.0f} GB of weights to read{why}"
        yield warn(
            f"{probe.component.name} has {budget} s {until} and {weights}, "
            f"which takes {needed} s at {speed:g} GB/s{_describe_nodes(probe.component)}{twice}",
            evidence={"budget_s": budget, "read_s": needed, "factor": factor},
            fix=set_value(
                "failureThreshold" if starts else "startupProbe.failureThreshold",
                -(-2 * needed // _read_seconds(probe.value, "periodSeconds")),
                "or set read-gigabytes to the GB/s at which a pod reads there",
            ),
            location=_locate_threshold(probe),
        )


def _find_built_probes(recipe: Recipe) -> Iterator[tuple[Probe, float]]:
    """The probes that limit the start of a Triton, with the bytes of the model that its engine is built of.

    Triton answers no probe before it has loaded its models (src/main.cc of its server). An engine has the
    bytes of its checkpoint, which is not quantized when it is converted.
    """
    for build in recipe.builds:
        row = resolve_downloaded(recipe, build.models[0]) if len(build.models) == 1 else None
        for graph, component in find_build_servers(recipe, build) if row is not None else ():
            template = find_server_template(recipe, graph, component)
            if row is None or template is None or not is_triton(component):
                continue
            for name in PROBES:
                for value in [each for c in template.containers if (each := c.get(name)) is not None]:
                    probe = Probe(recipe, graph, component, template, name, value)
                    yield from [(probe, row.weight_bytes)] if limits_start(probe) else ()


def _describe_nodes(component: Component) -> str:
    return f" on each of {component.nodes} nodes" if component.nodes > 1 else ""


def _locate_threshold(probe: Probe) -> Location:
    value = probe.value.get("failureThreshold") or probe.value
    return Location(probe.graph.file, value.line, value.column)


def _find_engine(probe: Probe) -> EngineInstance | None:
    """The engine in the container that is probed."""
    engines = (e for e in find_instances(probe.graph) if e.component is probe.component)
    return next((engine for engine in engines if engine.container is probe.component.main), None)


def _find_weight_bytes(probe: Probe, engine: EngineInstance) -> float | None:
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


def _list_probes(template: PodTemplate) -> Iterator[tuple[str, Value]]:
    main = find_main(template)
    for holder in (template.around, main):
        for name in PROBES:
            probe = holder.get(name) if holder is not None else None
            if probe is not None:
                yield name, probe


def _find_quoted_port(probe: Probe) -> Value | None:
    """The port of a probe if it is a number in quotes."""
    port = find_target_port(probe.value)
    return port if port is not None and (port.text or "").isdecimal() else None


def _find_port(probe: Probe) -> Value | None:
    """The port of a probe, if it is a number that the component does not declare."""
    target = probe.value.get("httpGet") or probe.value.get("tcpSocket")
    port = target.get("port") if target else None
    declared = port is None or not isinstance(port.data, int) or port.data in _list_ports(probe.template)
    return None if declared else port


def _check_target(probe: Probe, paths: dict[int, tuple[str, ...]]) -> Iterator[Finding]:
    component, template = probe.component, probe.template
    target = probe.value.get("httpGet") or probe.value.get("tcpSocket")
    port = _find_port(probe)
    number = port.data if port is not None else _find_declared_port(probe)
    served = paths.get(number) if isinstance(number, int) else None
    if target is None or (port is None and served is None):
        return
    if port is not None and served is None:
        ports = " and ".join(map(str, paths))
        yield fail(
            f"{component.name}: its {probe.name} uses port {port.data}, it listens on {ports}",
            fix=set_value("port", next(iter(paths))),
            location=Location(template.manifest.file, port.line, port.column),
        )
        return
    path = target.get("path")
    variables = component.main.env if component.main else ()
    configurable = any(var.name.startswith("DYN_") and var.name.endswith("_PATH") for var in variables)
    if path is not None and served is not None and path.text not in served and not configurable:
        yield fail(
            f"{component.name}: its {probe.name} requests {path.text} on port {number}, "
            f"which serves {', '.join(served)}",
            fix=set_value("path", served[0]),
            location=Location(template.manifest.file, path.line, path.column),
        )


def _find_declared_port(probe: Probe) -> int | None:
    """The number of the port that a probe uses and its component declares, by number or by name."""
    target = probe.value.get("httpGet") or probe.value.get("tcpSocket")
    port = target.get("port") if target else None
    main = find_main(probe.template)
    if port is None or main is None:
        return None
    for declared in main.get_items("ports"):
        number = declared.get("containerPort")
        if number is not None and port.data in (number.data, declared.get_text("name")):
            return number.data if isinstance(number.data, int) else None
    return None


def _list_ports(template: PodTemplate) -> set[int]:
    """The ports that its main container declares."""
    main = find_main(template)
    numbers = (port.get("containerPort") for port in (main.get_items("ports") if main is not None else ()))
    return {number.data for number in numbers if number is not None and isinstance(number.data, int)}
