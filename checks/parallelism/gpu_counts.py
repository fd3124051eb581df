"""Whether engines are given the GPUs that their arguments ask for."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.data.images import parse_image
from dynocheck.engines import Parallelism
from dynocheck.engines.instances import find_component_instances
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.pods import index_containers
from dynocheck.facts.recipe.recipes import Component, Graph, Recipe

_START = "start it by the container's command: [python3, -m, dynamo.vllm]"
_SPLIT = "write the parallel sizes as flags, or keep the engine's configuration file in the recipe"


@check("parallelism.gpus-match", title="Every engine is given as many GPUs as it is split over")
def gpus_match(recipes: Recipes) -> Iterator[Finding]:
    """Tensor, pipeline and context parallel ranks each need a GPU, data parallel ranks need a set each.
    Expert parallelism and SGLang's attention data parallelism divide the ranks that are there.

    With fewer GPUs than ranks the engine does not start. More than that stand idle and are paid for.
    Arguments count wherever the engine reads them: flags, variables, engine YAML. An engine that ends over a
    flag that was to split it is judged once engine.flags-known and engine.values have nothing to say. A
    worker in one of Dynamo's images that starts no engine, as far as can be read, is a warning: no check
    knows it.

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
                    yield _warn_unread(graph, component, "which engine it starts", _START)
    if not judged:
        raise Skip("no engine whose GPUs are counted by the manifest")


def _find_splits(graph: Graph, component: Component) -> Iterator[Parallelism | None]:
    """How each engine that a component starts is split, where it starts at all."""
    for each in find_component_instances(graph, component):
        if not has_rejected_parallel_args(each.container, each.launch):
            yield each.engine.parallelism(each.given)


def _hides_engine(component: Component) -> bool:
    """Whether it is a worker with GPUs that runs Dynamo's image, and nothing that is known to serve."""
    main = component.main
    works = component.role in ("worker", "main", "prefill", "decode") and component.gpus != 0
    launches = any(container.launches for container in component.containers)
    return works and main is not None and bool(parse_image(main.image or "").dynamo_name) and not launches


def _is_command(recipe: Recipe, graph: Graph, component: Component) -> bool:
    """Whether its main container's command and args are lists of text; manifest.schema tells where not."""
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
        yield _warn_unread(graph, component, "how its engine is split", _SPLIT)
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
        return f"ask for GPUs that make {wanted} over {component.nodes} nodes"
    return f'set nvidia.com/gpu: "{each}"' + (
        f" on each of {component.nodes} nodes" if component.nodes > 1 else ""
    )
