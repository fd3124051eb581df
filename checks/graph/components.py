"""Checks the roles of a graph's components: frontend, prefill and decode."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.engine._coverage import describe_incomplete
from dynocheck.core.fixes import (
    add_element,
    add_flag,
    is_legacy,
    locate_component,
    remove,
    replace_words,
    set_flag,
    set_value,
)
from dynocheck.core.outcomes import Unjudged
from dynocheck.data import parse_version
from dynocheck.data.flags import find_release
from dynocheck.engines import EngineInstance, find_instances
from dynocheck.engines.arguments import Argument
from dynocheck.facts import Component, Graph, Recipes

_FRONTEND = "dynamo.frontend"
_NEEDED = ("frontend", "worker", "main", "prefill", "decode")
_GLOBAL_NAMESPACE = "dynamo"  # of components with globalDynamoNamespace


def _is_frontend(component: Component) -> bool:
    launches = component.main.launches if component.main is not None else ()
    return component.role == "frontend" or any(launch.module == _FRONTEND for launch in launches)


def _is_former_frontend(component: Component) -> bool:
    """Whether it is of the type that served requests in releases older than those that are known."""
    image = component.main.image if component.main is not None else None
    return component.role == "main" and bool(image) and not find_release(image or "").possible


@check("graph.frontend", title="Graphs have a frontend, and their parts have replicas")
def frontend(recipes: Recipes) -> Iterator[Result]:
    """The frontend accepts HTTP requests and routes them to workers; without it nothing listens on port 8000.

    Behind a Gateway an endpoint picker (type `epp`) replaces it: then each worker runs a frontend in a
    sidecar (`frontendSidecar`). A graph with a router of its own, or with only the global planner, works
    behind the frontend of another graph, as does one in a Dynamo namespace that graphs share.

    `replicas: 0` in all components of a type is a warning, unless the graph has a planner, which scales them.
    So is a frontend in a component of another type where the recipe has no Service: the operator makes one
    with port 8000 for the type frontend alone.

    Fix: add a component of type frontend
    """
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    if not graphs:
        raise Skip("no DynamoGraphDeployment")
    shared = _find_shared(recipes)
    served = {name for graph in graphs if _has_frontend(graph) for name in shared[graph.file, graph.name]}
    services = {m.file for recipe in recipes for m in recipe.manifests if m.kind == "Service"}
    for graph in graphs:
        yield from _check_replicas(graph)
        if graph.file not in services:
            yield from _check_frontend_type(graph)
        names = shared[graph.file, graph.name]
        if not graph.components:
            continue  # manifest.admission reports it
        if _has_frontend(graph) or _is_pool(graph) or (names | {_GLOBAL_NAMESPACE}) & served:
            yield judged(1, "graphs")
        elif any(component.role == "epp" for component in graph.components):
            yield judged(1, "graphs")
            yield from _check_sidecars(graph)
        elif any(map(_is_former_frontend, graph.components)):
            yield _describe_unjudged(graph, "a component of type main served requests before Dynamo 1.0")
        elif _GLOBAL_NAMESPACE in names:
            yield _describe_unjudged(graph, "its frontend may be in another graph of its Dynamo namespace")
        else:
            yield judged(1, "graphs")
            yield fail(
                f"graph {graph.name} has no frontend: nothing accepts its requests",
                fix=_suggest_frontend(graph),
                evidence={"components": {c.name: c.role for c in graph.components}},
                location=Location(graph.file, graph.line, graph.column),
            )


def _has_frontend(graph: Graph) -> bool:
    return any(map(_is_frontend, graph.components))


def _check_replicas(graph: Graph) -> Iterator[Finding]:
    """Reports the types of which no component has a replica."""
    modules = {launch.module for c in graph.components for each in c.containers for launch in each.launches}
    if "dynamo.planner" in modules or any(component.role == "planner" for component in graph.components):
        return
    running = {component.role for component in graph.components if component.replicas}
    for component in graph.components:
        if component.role in _NEEDED and component.role not in running:
            yield warn(
                f"{component.name} has 0 replicas: graph {graph.name} serves nothing until it is scaled",
                fix=set_value("replicas", 1),
                location=Location(graph.file, component.line, component.column),
            )


def _check_frontend_type(graph: Graph) -> Iterator[Finding]:
    """Reports the frontends of a graph where none is of that type."""
    fronts = [component for component in graph.components if _is_frontend(component)]
    if any(component.role in ("frontend", "epp") for component in graph.components):
        return
    for component in fronts:
        key = "componentType" if is_legacy(graph) else "type"
        yield warn(
            f"{component.name} runs the frontend, but is of type {component.role or 'none'}: the operator "
            "makes no Service on port 8000 for it",
            fix=set_value(key, "frontend"),
            location=Location(graph.file, component.line, component.column),
        )


def _suggest_frontend(graph: Graph) -> str:
    images = [c.main.image for c in graph.components if c.main is not None and c.main.image]
    main = {"image": images[0] if images else "IMAGE"}
    named = next((each for each in graph.components if each.name.lower() == "frontend"), None)
    if named is not None and not any(container.launches for container in named.containers):
        place = locate_component(named.name, legacy=is_legacy(graph))
        return set_value(f"spec.{place}.{'componentType' if is_legacy(graph) else 'type'}", "frontend")
    taken = {component.name.lower() for component in graph.components}
    name = next(each for each in ("frontend", "http", "NAME") if each not in taken)
    if is_legacy(graph):
        frontend = {"componentType": "frontend", "replicas": 1, "extraPodSpec": {"mainContainer": main}}
        return set_value(f"spec.services.{name.title()}", frontend)
    pod = {"spec": {"containers": [{"name": "main", **main}]}}
    return add_element("spec.components", {"name": name, "type": "frontend", "podTemplate": pod})


def _is_pool(graph: Graph) -> bool:
    """Whether a graph gets its requests from another: it has a router of its own or the global planner."""
    containers = (container for component in graph.components for container in component.containers)
    modules = {launch.module for container in containers for launch in container.launches}
    return bool(modules & {"dynamo.router", "dynamo.global_router", "dynamo.global_planner"})


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
def roles(recipes: Recipes) -> Iterator[Result]:
    """The operator and the router read a worker's role from its type, the engine from a flag.

    A worker of type `prefill` without the flag serves whole requests. One of type `decode` without it never
    receives prefilled requests on SGLang and TensorRT-LLM; for vLLM see `graph.both-sides`. A worker of type
    `worker` or `main` has the role of its flag. A worker of type `decode` that serves whole requests in a
    graph without prefill workers is a warning, unless an endpoint picker finds it by its type.

    Fix: --disaggregation-mode prefill, or decode
    """
    engines = [engine for engine in _list_engines(recipes) if engine.component.role in _SIDES]
    if not engines:
        raise Skip("no component of type prefill or decode starts an engine")
    shared = _find_shared(recipes)
    for engine in engines:
        role, mode = engine.component.role, engine.mode
        if mode is None:
            yield describe_incomplete(engine, what="disaggregation mode")
            continue
        yield judged(1, "engines")
        place = Location(engine.graph.file, engine.mode_source.line, engine.mode_source.column)
        if mode in _SIDES and mode != role:
            yield fail(
                f"{engine.component.name} is of type {role}, but its engine runs in {mode} mode",
                fix=_suggest_mode(engine, role, f"or make the component's type {mode}"),
                location=place,
            )
        elif mode == "agg" and role == "decode" and not _has_prefill(engine.graph):
            if _is_pool(engine.graph) or shared[engine.graph.file, engine.graph.name]:
                continue  # another graph may prefill
            if any(component.role == "epp" for component in engine.graph.components):
                continue  # the endpoint picker looks for this type
            yield warn(
                f"{engine.component.name} is of type decode, but the graph has no prefill worker: "
                "it serves whole requests itself",
                fix=_suggest_worker(engine.graph),
                location=place,
            )
        elif mode == "agg" and (role == "prefill" or engine.engine.name != "vllm"):
            yield fail(
                f"{engine.component.name} is of type {role}, but its engine has no {role} mode: "
                "it serves whole requests itself",
                fix=_suggest_mode(engine, role),
                location=place,
            )


def _suggest_mode(engine: EngineInstance, role: str, remark: str = "") -> str:
    """The edit that gives an engine this mode, by the flag that its release has: see EngineInstance.mode."""
    source = engine.mode_source
    spelled = source.spelled if isinstance(source, Argument) else ""
    release = find_release(engine.container.image or "", engine.container.runtime)
    former = engine.engine.name == "vllm" and not release.possible and not release.newer
    if spelled.startswith("--is-"):
        return replace_words(
            spelled, f"--is-{role}-worker" if former else f"--disaggregation-mode {role}", remark
        )
    if former:
        return add_flag(f"--is-{role}-worker")
    flag = "--disaggregation-mode"
    return set_flag(flag, role, remark) if spelled else add_flag(flag, role, remark)


def _suggest_worker(graph: Graph) -> str:
    return remove("subComponentType") if is_legacy(graph) else set_value("type", "worker")


def _has_prefill(graph: Graph) -> bool:
    return any(component.role == "prefill" for component in graph.components)


@check("graph.both-sides", title="Disaggregated graphs have prefill and decode workers")
def both_sides(recipes: Recipes) -> Iterator[Result]:
    """Prefill workers hand the KV cache to decode workers. With only one side, requests are never completed,
    or the decode workers do everything.

    A worker's side is its engine's mode, or its type if the mode is unknown. Since Dynamo 1.3 a prefill
    worker waits for one in decode mode, and the other way round: until both run, the frontend lists no model
    and answers 503. Before, vLLM's workers without a mode decoded too, and its decode workers alone served
    whole requests, which is a warning. A graph in a Dynamo namespace that graphs share, or behind the
    frontend of another graph, may have its other side in another graph, and is not judged.

    Fix: add the missing side, or run the engine without --disaggregation-mode
    """
    shared = _find_shared(recipes)
    graphs = [graph for recipe in recipes for graph in recipe.graphs if any(_find_sides(graph))]
    if not graphs:
        raise Skip("no graph separates prefill from decode")
    for graph in graphs:
        is_pool = _is_pool(graph) and not _has_frontend(graph)
        prefill, decode = _find_sides(graph)
        others = [engine for engine in find_instances(graph) if engine.mode not in _SIDES]
        if prefill and decode:
            yield judged(1, "graphs")
            yield from _check_decode_mode(prefill, decode)
        elif shared[graph.file, graph.name] or is_pool:
            yield _describe_unjudged(graph, "its other side may be in another graph")
        elif any(engine.mode is None for engine in others):
            yield _describe_unjudged(graph, "the disaggregation mode of an engine cannot be read")
        else:
            yield judged(1, "graphs")
            if prefill and not _can_decode(others):
                yield _report_missing_side(graph, prefill[0], "prefills", "decodes", fail)
            elif prefill:
                yield from _check_decode_mode(prefill, others)
            elif decode and not others:
                whole = decode[0].engine.name == "vllm" and not _waits_for_other_side(decode[0])
                report = warn if whole else fail
                yield _report_missing_side(graph, decode[0], "decodes", "prefills", report)


def _check_decode_mode(prefill: list[EngineInstance], others: list[EngineInstance]) -> Iterator[Finding]:
    """Reports a worker of vLLM that is to decode, where none beside its prefill workers is in decode mode."""
    waiting = [engine for engine in prefill if engine.mode == "prefill" and engine.engine.name == "vllm"]
    if not waiting or any(engine.mode != "agg" for engine in others):
        return
    waits = _waits_for_other_side(waiting[0])
    if waits is not False:
        worker = next((e for e in others if e.component.role == "decode"), others[0])
        yield (fail if waits else warn)(
            f"{worker.component.name} has no decode mode, which {waiting[0].component.name} waits for since "
            "Dynamo 1.3: the frontend serves no model",
            fix=add_flag("--disaggregation-mode", "decode"),
            location=Location(worker.graph.file, worker.launch.line, worker.launch.column),
        )


def _waits_for_other_side(engine: EngineInstance) -> bool | None:
    """Whether a worker's release waits until workers of the other side run; None if unknown.

    See `needs` in dynamo/vllm/worker_factory.py of the package ai-dynamo, and what the frontend says,
    "no namespace has all required worker types live": both are in 1.3, and not in 1.2.1.
    """
    release = engine.release
    known = release.exact or release.near
    if known is not None:
        return parse_version(known) >= (1, 3)
    return True if release.newer else None if release.possible else False


def _describe_unjudged(graph: Graph, why: str) -> Unjudged:
    return unjudged(f"graph {graph.name}", why=why, location=Location(graph.file, graph.line, graph.column))


def _find_sides(graph: Graph) -> tuple[list[EngineInstance], list[EngineInstance]]:
    """The engines of a graph that prefill, and those that decode."""
    engines = list(find_instances(graph))
    return list(_select_side(engines, "prefill")), list(_select_side(engines, "decode"))


def _find_shared(recipes: Recipes) -> dict[tuple[str, str], set[str]]:
    """The Dynamo namespaces that each graph may share with others, by the graph's file and name.

    One of the graph's own name is shared only where another graph names it too.
    """
    shared: dict[tuple[str, str], set[str]] = defaultdict(set)
    for manifest in (manifest for recipe in recipes for manifest in recipe.manifests):
        for key, value in manifest.root.find_entries(("globalDynamoNamespace", "dynamoNamespace")):
            name = _GLOBAL_NAMESPACE if value.data is True else value.text
            if name and (key == "dynamoNamespace" or value.data is True):
                shared[manifest.file, manifest.name].add(name)
    times = Counter(name for names in shared.values() for name in names)
    for graph, names in shared.items():
        if times[graph[1]] == 1 and graph[1] != _GLOBAL_NAMESPACE:
            names.discard(graph[1])
    return shared


def _select_side(engines: Iterable[EngineInstance], side: str) -> Iterator[EngineInstance]:
    for engine in engines:
        mode = engine.mode
        if mode == side or (mode in (None, "agg") and engine.component.role == side):
            yield engine


def _can_decode(engines: list[EngineInstance]) -> bool:
    """Whether one of these may continue prefilled requests, as vLLM does."""
    return any(e.component.role != "prefill" and e.engine.name == "vllm" for e in engines)


def _report_missing_side(
    graph: Graph, engine: EngineInstance, does: str, missing: str, report: Callable[..., Finding]
) -> Finding:
    return report(
        f"{engine.component.name} only {does}, and nothing in graph {graph.name} {missing}",
        fix=f"add a worker that {missing}, or {_suggest_whole(engine)}",
        evidence={"components": {c.name: c.role for c in graph.components}},
        location=Location(graph.file, engine.mode_source.line, engine.mode_source.column),
    )


def _suggest_whole(engine: EngineInstance) -> str:
    """What lets an engine serve whole requests: its mode comes from a flag, or from its component's type."""
    source = engine.mode_source
    return f"drop {source.spelled}" if isinstance(source, Argument) else "make it of type worker"


def _list_engines(recipes: Recipes) -> Iterator[EngineInstance]:
    for recipe in recipes:
        for graph in recipe.graphs:
            yield from find_instances(graph)
