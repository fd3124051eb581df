"""Checks that replicas have the GPUs that their engine's parallel sizes need."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.data.images import parse_image
from dynocheck.engines import Parallelism
from dynocheck.engines.instances import find_component_instances
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.facts import Component, Graph, Recipe, Recipes, index_containers

_START = "start it with the container's command: [python3, -m, dynamo.vllm]"
_SPLIT = "set the parallel sizes as flags, or add the engine's configuration file to the recipe"


@check("parallelism.gpus-match", title="GPUs per replica match the parallel sizes")
def gpus_match(recipes: Recipes) -> Iterator[Finding]:
    """Tensor, pipeline and context parallel ranks each need a GPU; data parallel ranks need a set each.
    Expert parallelism and SGLang's attention data parallelism divide existing ranks.

    With fewer GPUs than ranks the engine does not start; additional GPUs stay idle. Arguments count wherever
    the engine reads them: flags, variables, engine YAML. An engine whose parallel flags are invalid is
    checked once engine.flags-known and engine.values pass. A worker in a Dynamo image whose command starts no
    recognizable engine is a warning, since no check covers it.

    Fix: make nvidia.com/gpu times the nodes of a replica equal the product of the parallel sizes
    """
    judged = False
    for recipe in recipes:
        for graph in recipe.graphs:
            for component in graph.components:
                splits = list(_find_splits(graph, component))
                if splits and component.gpus is not None:
                    judged = True
                    yield from _compare_gpus(graph, component, component.gpus * component.nodes, splits)
                elif _hides_engine(component) and _is_command(recipe, graph, component):
                    judged = True
                    yield _warn_unread(graph, component, "the engine it starts", _START)
    if not judged:
        raise Skip("no engine whose manifest counts GPUs")


def _find_splits(graph: Graph, component: Component) -> Iterator[Parallelism | None]:
    """The parallelism of each engine of a component whose arguments are valid; None if unknown."""
    for each in find_component_instances(graph, component):
        if not has_rejected_parallel_args(each.container, each.launch):
            yield each.engine.parallelism(each.given)


def _hides_engine(component: Component) -> bool:
    """Whether it is a worker with GPUs in a Dynamo image that starts no known program."""
    main = component.main
    works = component.role in ("worker", "main", "prefill", "decode") and component.gpus != 0
    launches = any(container.launches for container in component.containers)
    return works and main is not None and bool(parse_image(main.image or "").dynamo_name) and not launches


def _is_command(recipe: Recipe, graph: Graph, component: Component) -> bool:
    """Whether its main container's command and args are lists of text, as manifest.schema requires."""
    main = component.main
    found = index_containers(recipe).get((graph.file, main.line, main.column)) if main is not None else None
    given = [found[1].get(key) for key in ("command", "args")] if found is not None else []
    lists = [value for value in given if value is not None]
    return all(value.sequence and all(each.text is not None for each in value.sequence) for value in lists)


def _warn_unread(graph: Graph, component: Component, what: str, fix: str) -> Finding:
    return warn(
        f"{component.name}: {what} cannot be read from the manifest",
        fix=fix,
        location=Location(graph.file, component.line, component.column),
    )


def _compare_gpus(
    graph: Graph, component: Component, given: int, splits: list[Parallelism | None]
) -> Iterator[Finding]:
    place = Location(graph.file, component.line, component.column)
    known = [split for split in splits if split is not None]
    if len(known) < len(splits):
        yield _warn_unread(graph, component, "its parallel size", _SPLIT)
        return
    largest = max(known, key=lambda split: split.gpus)
    together = sum(split.gpus for split in known)  # several launches: beside each other, or either one
    evidence = {"given": given, "needed": largest.gpus}
    if given < largest.gpus:
        yield fail(
            f"{component.name}: {largest} needs {largest.gpus} GPUs, a replica is given {given}",
            fix=_suggest_fix(component, largest.gpus),
            evidence=evidence,
            location=place,
        )
    elif given > together:
        yield warn(
            f"{component.name}: {largest} uses {together} GPUs, a replica is given {given}",
            fix=_suggest_fix(component, together),
            evidence=evidence,
            location=place,
        )


def _suggest_fix(component: Component, wanted: int) -> str:
    each, rest = divmod(wanted, component.nodes)
    if rest:
        return f"request {wanted} GPUs in total over {component.nodes} nodes"
    return f'set nvidia.com/gpu: "{each}"' + (
        f" on each of {component.nodes} nodes" if component.nodes > 1 else ""
    )
