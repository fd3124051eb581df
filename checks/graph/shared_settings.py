"""Checks that the components of a graph use the same planes, discovery and namespace."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.data import parse_version
from dynocheck.data.flags import find_release
from dynocheck.engines.command_line import parse_flags
from dynocheck.facts import Component, Container, EnvVar, Graph, Launch, Recipe, Recipes, Word

_GRAPH = "DynamoGraphDeployment"
_PROGRAMS = ("dynamo.frontend", "dynamo.vllm", "dynamo.sglang", "dynamo.trtllm", "dynamo.mocker")
# They join several graphs, each in a namespace of its own.
_JOINING = ("dynamo.router", "dynamo.global_router", "dynamo.global_planner")


@dataclass(frozen=True)
class _Setting:
    """What a flag, or else a variable, sets. `default` is by the minor release, None if unknown."""

    title: str
    flag: str
    variable: str
    default: Callable[[tuple[int, int] | None], str | None]
    report: Callable[..., Finding]


@dataclass(frozen=True)
class _Use:
    """The value of a setting in one program; None if unknown. `place` is where it is written, if it is."""

    name: str
    value: str | None
    place: Location | None


def _default_event_plane(release: tuple[int, int] | None) -> str | None:
    """NATS up to Dynamo 1.2, ZMQ from 1.5 on; between them it depends on the discovery backend."""
    if release is None or (1, 2) < release < (1, 5):
        return None
    return "nats" if release < (1, 3) else "zmq"


_SETTINGS = (
    _Setting("request plane", "--request-plane", "DYN_REQUEST_PLANE", lambda release: "tcp", fail),
    _Setting("event plane", "--event-plane", "DYN_EVENT_PLANE", _default_event_plane, fail),
    _Setting("discovery backend", "--discovery-backend", "DYN_DISCOVERY_BACKEND", lambda release: None, fail),
    _Setting("namespace", "--namespace", "DYN_NAMESPACE", lambda release: "", warn),
)


@check("graph.shared-settings", title="Components use the same planes, discovery and namespace")
def shared_settings(recipes: Recipes) -> Iterator[Result]:
    """A frontend finds workers through the discovery backend, in its namespace, sends them requests over the
    request plane and hears of their KV events over the event plane. A component that uses another one is
    never found, or gets no request.

    Each is set by a flag or by its variable, such as --request-plane and DYN_REQUEST_PLANE; a component that
    sets neither uses the default. The operator gives all components of a graph one namespace. Graphs that
    share a frontend, a router or the global planner with others are not judged for their namespace.

    Services of v1alpha1 with different dynamoNamespace are a warning: operators that still read it part them.

    Fix: set the variable in spec.env of the graph (spec.envs in v1alpha1) instead of in one component
    """
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    settings = [
        (graph, each, uses) for graph in graphs for each in _SETTINGS if (uses := _list_uses(graph, each))
    ]
    parted = [found for recipe in recipes for found in _check_own_namespaces(recipe)]
    if not settings and not parted:
        raise Skip("no graph sets its planes, discovery or namespace")
    yield from parted
    for graph, setting, uses in settings:
        written = next(use for use in uses if use.place is not None)
        values = {use.value: use for use in uses if use.value is not None}
        if len(values) > 1:
            yield judged(1, "settings")
            yield _report(setting, uses)
        elif any(use.value is None for use in uses):
            yield unjudged(
                f"graph {graph.name}: {setting.title}",
                why="a component uses a default, or a value, that is unknown",
                needs=f"{setting.variable} in spec.env of the graph",
                location=written.place,
            )
        else:
            yield judged(1, "settings")


def _check_own_namespaces(recipe: Recipe) -> Iterator[Finding]:
    """Reports the dynamoNamespace of a service that is not that of most services of its graph."""
    for manifest in recipe.own_manifests:
        services = manifest.root.get("spec", "services") if manifest.kind == _GRAPH else None
        given = [each.get("dynamoNamespace") for each in services.mapping.values()] if services else []
        named = [value for value in given if value is not None and value.text]
        counts = Counter(value.text for value in named)
        if len(counts) > 1:
            usual = max(counts, key=counts.__getitem__)
            odd = next(value for value in named if value.text != usual)
            yield warn(
                f"graph {manifest.name} has services in {len(counts)} Dynamo namespaces: "
                f"{', '.join(map(str, counts))}",
                fix="remove dynamoNamespace: the operator gives all services of a graph one",
                location=Location(manifest.file, odd.line, odd.column),
            )


def _report(setting: _Setting, uses: list[_Use]) -> Finding:
    """The finding for programs that differ, at the last one that writes its value."""
    groups: dict[str, list[str]] = {}
    for use in uses:
        if use.value is not None:
            groups.setdefault(use.value or "that of the operator", []).append(use.name)
    parts = [f"{', '.join(dict.fromkeys(names))}: {value}" for value, names in groups.items()]
    return setting.report(
        f"components use different values of the {setting.title}: {'; '.join(parts)}",
        fix=f"set {setting.variable} once, in spec.env of the graph",
        location=[use.place for use in uses if use.place is not None][-1],
    )


def _list_uses(graph: Graph, setting: _Setting) -> list[_Use]:
    """What the programs of a graph use; nothing if no program sets it, or there is only one program."""
    programs = [
        (component, container, launch)
        for component in graph.components
        for container in component.containers
        for launch in container.launches
    ]
    if setting.flag == "--namespace" and any(launch.module in _JOINING for _, _, launch in programs):
        return []
    uses = [_read_use(graph, setting, *program) for program in programs if program[-1].module in _PROGRAMS]
    for component in graph.components:
        main = component.main
        variable = main.find_variable(setting.variable) if main is not None and not main.launches else None
        if variable is not None and variable.value:  # of a program that cannot be read
            uses.append(_Use(component.name, *_read_text(graph, variable.value, variable)))
    return uses if len(uses) > 1 and any(use.place for use in uses) else []


def _read_use(
    graph: Graph, setting: _Setting, component: Component, container: Container, launch: Launch
) -> _Use:
    flags = [flag for flag in parse_flags(launch, ()) if flag.spelled == setting.flag]
    variable = container.find_variable(setting.variable, launch)
    if flags:
        return _Use(component.name, *_read_text(graph, flags[-1].text, flags[-1].word))
    if variable is not None and variable.value != "":
        return _Use(component.name, *_read_text(graph, variable.value, variable))
    found = find_release(container.image or "", container.runtime)
    release = found.exact or found.near
    return _Use(component.name, setting.default(parse_version(release) if release else None), None)


def _read_text(graph: Graph, text: str | None, at: Word | EnvVar) -> tuple[str | None, Location]:
    """A value, None where a variable in it is not known, and its place."""
    known = text is not None and "$" not in text
    return text.lower() if text and known else None, Location(graph.file, at.line, at.column)
