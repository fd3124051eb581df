"""Checks the roles of a graph's components: frontend, prefill and decode."""

from collections.abc import Callable, Iterable, Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.facts import Component, Graph, Recipes

_FRONTEND = "dynamo.frontend"


def _is_frontend(component: Component) -> bool:
    return component.role == "frontend" or any(
        launch.module == _FRONTEND
        for container in component.containers
        if container is component.main
        for launch in container.launches
    )


@check("graph.frontend", title="Every graph has a frontend")
def frontend(recipes: Recipes) -> Iterator[Finding]:
    """The frontend takes HTTP requests and routes them to workers; without it nothing answers on port 8000.

    Behind a Gateway an endpoint picker (type `epp`) takes its place: then each worker runs a frontend
    beside its engine (`frontendSidecar`). A graph with a router of its own, or with nothing but the global
    planner, works behind the frontend of another graph.

    Fix: add a component of type frontend
    """
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if not graphs:
        raise Skip("no DynamoGraphDeployment")
    for graph in graphs:
        if any(_is_frontend(component) for component in graph.components) or _is_pool(graph):
            continue
        place = Location(graph.file, graph.line, graph.column)
        if any(component.role == "epp" for component in graph.components):
            yield from _check_sidecars(graph)
        else:
            yield fail(
                f"graph {graph.name} has no frontend: nothing takes its requests",
                fix="add a component of type frontend",
                evidence={"components": {c.name: c.role for c in graph.components}},
                location=place,
            )


def _is_pool(graph: Graph) -> bool:
    """Whether the requests of a graph come through another graph: it runs a local router or only plans."""
    containers = (container for component in graph.components for container in component.containers)
    modules = {launch.module for container in containers for launch in container.launches}
    return bool(modules & {"dynamo.router", "dynamo.global_planner"})


def _check_sidecars(graph: Graph) -> Iterator[Finding]:
    for component in graph.components:
        if component.role in ("worker", "decode") and not component.sidecar:
            yield fail(
                f"{component.name} is behind the endpoint picker but has no frontend sidecar",
                fix=f"name a container that runs {_FRONTEND} --router-mode direct as its frontendSidecar",
                location=Location(graph.file, component.line, component.column),
            )


_SIDES = ("prefill", "decode")


@check("graph.roles", title="Component type and disaggregation mode agree")
def roles(recipes: Recipes) -> Iterator[Finding]:
    """The type tells the operator and the router what a worker is for, a flag tells its engine.

    A worker of type `prefill` whose engine is not told so answers requests itself. One of type `decode`
    whose SGLang or TensorRT-LLM engine is not told so never takes up what others prefilled; vLLM's does.
    A worker of type `worker` or `main` is whatever its flag says. A worker of type `decode` that serves whole
    requests in a graph without prefill workers is a warning.

    Fix: --disaggregation-mode prefill, or decode
    """
    judged = False
    for engine in _list_engines(recipes):
        role, mode = engine.component.role, engine.mode
        if role not in _SIDES or mode is None:
            continue
        judged = True
        place = Location(engine.graph.file, engine.mode_source.line, engine.mode_source.column)
        flag = "--disaggregation-mode"
        if mode in _SIDES and mode != role:
            yield fail(
                f"{engine.component.name} is of type {role}, but its engine runs in {mode} mode",
                fix=f"make the component's type {mode}, or set {flag} {role}",
                location=place,
            )
        elif mode == "agg" and role == "decode" and not _has_prefill(engine.graph):
            yield warn(
                f"{engine.component.name} is of type decode, but nothing prefills for it: "
                "it serves whole requests itself",
                fix="type: worker",
                location=place,
            )
        elif mode == "agg" and (role == "prefill" or engine.engine.name != "vllm"):
            yield fail(
                f"{engine.component.name} is of type {role}, but its engine has no {role} mode: "
                "it serves whole requests itself",
                fix=f"add {flag} {role}",
                location=place,
            )
    if not judged:
        raise Skip("no component of type prefill or decode starts an engine")


def _has_prefill(graph: Graph) -> bool:
    return any(component.role == "prefill" for component in graph.components)


@check("graph.both-sides", title="Disaggregated graphs have prefill and decode workers")
def both_sides(recipes: Recipes) -> Iterator[Finding]:
    """Prefill workers hand what they computed to decode workers. With the one side alone no request is
    answered to its end, or what is called decode does everything.

    What a worker is counts by its engine's mode, and by its type where the mode cannot be read. Of vLLM a
    decode worker alone serves whole requests, which is a warning. A graph in the global namespace of Dynamo,
    or behind the frontend of another graph, may have its other side in another graph, and is not judged.

    Fix: add the missing side, or run the engine without --disaggregation-mode
    """
    judged = False
    shared = set(_find_shared(recipes))
    for graph in (graph for recipe in recipes for graph in recipe.graphs):
        is_pool = _is_pool(graph) and not any(map(_is_frontend, graph.components))
        if (graph.file, graph.name) in shared or is_pool:
            continue
        engines = list(find_instances(graph))
        sides = {part: found for part in _SIDES if (found := list(_select_side(engines, part)))}
        judged = judged or bool(sides)
        others = [engine for engine in engines if engine.mode not in _SIDES] if sides else []
        if "prefill" in sides and "decode" not in sides and not _can_decode(others):
            yield _report_missing_side(graph, sides["prefill"][0], "prefills", "decodes", fail)
        elif "decode" in sides and "prefill" not in sides and not others:
            told = [engine for engine in sides["decode"] if engine.mode == "decode"]
            if told:
                report = warn if told[0].engine.name == "vllm" else fail
                yield _report_missing_side(graph, told[0], "decodes", "prefills", report)
    if not judged:
        raise Skip("no graph splits prefill from decode")


def _find_shared(recipes: Recipes) -> Iterator[tuple[str, str]]:
    """The graphs that share the global namespace, by file and name."""
    for manifest in (manifest for recipe in recipes for manifest in recipe.manifests):
        if any(value.data is True for value in manifest.root.find_all("globalDynamoNamespace")):
            yield manifest.file, manifest.name


def _select_side(engines: Iterable[EngineInstance], part: str) -> Iterator[EngineInstance]:
    for engine in engines:
        mode = engine.mode
        if mode == part or (mode in (None, "agg") and engine.component.role == part):
            yield engine


def _can_decode(others: list[EngineInstance]) -> bool:
    """Whether one of these goes on with what was prefilled: an engine whose mode is not known, or vLLM's."""
    return any(
        engine.component.role != "prefill" and (engine.mode is None or engine.engine.name == "vllm")
        for engine in others
    )


def _report_missing_side(
    graph: Graph, one: EngineInstance, does: str, missing: str, report: Callable[..., Finding]
) -> Finding:
    return report(
        f"{one.component.name} only {does}, and nothing in graph {graph.name} {missing}",
        fix=f"add a worker that {missing}, or drop --disaggregation-mode",
        evidence={"components": {c.name: c.role for c in graph.components}},
        location=Location(graph.file, one.mode_source.line, one.mode_source.column),
    )


def _list_engines(recipes: Recipes) -> Iterator[EngineInstance]:
    for recipe in recipes:
        for graph in recipe.graphs:
            yield from find_instances(graph)
