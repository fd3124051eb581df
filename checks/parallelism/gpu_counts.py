"""Checks that replicas have the GPUs that their engine's parallel sizes need."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.parallelism._triton import check_ranks
from dynocheck.core.fixes import set_gpus, set_value
from dynocheck.core.outcomes import Unjudged
from dynocheck.data.servers import PROGRAMS, find_server
from dynocheck.engines import EngineInstance, Parallelism
from dynocheck.engines.instances import find_component_instances
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.facts import Component, Container, Graph, Recipe, Recipes, index_containers

_ACCELERATORS = {"google.com/tpu", "habana.ai/gaudi", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore"}
_RANKS = ("tensor-parallel-size", "num-shard", "pipeline-parallel-size")
_USUAL_NODE = 8  # GPUs of the largest nodes that are common
_START = "start it with the container's command: [python3, -m, dynamo.vllm]"
_REQUEST = "nvidia.com/gpu in its limits"
_SPLIT = "set the parallel sizes as flags, or add the engine's configuration file to the recipe"


@check("parallelism.gpus-match", title="GPUs per replica match the parallel sizes")
def gpus_match(recipes: Recipes) -> Iterator[Result]:
    """Tensor, pipeline and context parallel ranks each need a GPU; data parallel ranks need a set each.
    Expert parallelism and SGLang's attention data parallelism divide existing ranks.

    With fewer GPUs than ranks the engine does not start; additional GPUs stay idle, unless expert parallelism
    is elastic, and TGI without --num-shard takes all. llama.cpp and Ollama always take all and are not
    compared. Triton starts an engine of TensorRT-LLM with a rank of MPI for each GPU: alone it is one.
    Arguments count wherever the engine reads them: flags, variables, engine YAML. Not judged are an engine
    with fewer GPUs in a StatefulSet whose pods may form a cluster of Ray, one whose parallel flags are
    invalid, until engine.flags-known and engine.values pass, one whose sizes are not all in the recipe, and a
    worker whose command starts no recognizable engine.

    Fix: make nvidia.com/gpu times the nodes of a replica equal the product of the parallel sizes
    """
    workers = [
        (graph, component, splits)
        for recipe in recipes
        for graph in recipe.deployments
        for component in graph.components
        if not _runs_elsewhere(component) and not _takes_all(component)
        if (splits := list(_find_splits(graph, component)))
        or (_hides_engine(graph, component) and _is_command(recipe, graph, component))
    ]
    if not workers:
        raise Skip("no engine")
    for graph, component, splits in workers:
        known = [split for split in splits if split is not None]
        reason = _explain_unjudged(graph, component, splits)
        if not splits and not graph.of_dynamo:
            yield from check_ranks(graph, component)
        if reason is not None:
            yield _describe_unjudged(graph, component, *reason)
        else:
            yield judged(1, "components")
            yield from _compare_gpus(graph, component, (component.gpus or 0) * component.nodes, known)


def _runs_elsewhere(component: Component) -> bool:
    """Whether it is given no GPU, and has an image for CPUs or starts an engine on another accelerator."""
    on_cpu = any("cpu" in (each.image or "") for each in component.containers)
    starts = any(each.launches for each in component.containers)
    return not component.gpus and (on_cpu or (starts and _has_accelerator(component)))


def _has_accelerator(component: Component) -> bool:
    return not _ACCELERATORS.isdisjoint(component.resources)


def _starts_ray(container: Container) -> bool:
    """Whether it starts the head of a Ray cluster, which pods of other ordinals may join."""
    commands = ([word.text or "" for word in words] for words in container.commands)
    return any(words[:2] == ["ray", "start"] and "--head" in words for words in commands)


def _takes_all(component: Component) -> bool:
    """Whether all that it starts spreads a model over the GPUs that it sees, however many."""
    servers = [find_server(launch.module) for c in component.containers for launch in c.launches]
    return bool(servers) and all(server is not None and server.takes_all for server in servers)


def _explain_unjudged(
    graph: Graph, component: Component, splits: list[Parallelism | None]
) -> tuple[str, str | None] | None:
    """Why a component's GPUs cannot be compared with its engine's ranks, and what would help."""
    if any(has_rejected_parallel_args(c, launch) for c in component.containers for launch in c.launches):
        return "its parallel flags are invalid", None
    servers = {PROGRAMS.get(launch.module) for c in component.containers for launch in c.launches} - {None}
    if not splits and servers:
        return f"nothing is known of the parallel sizes of {' and '.join(map(str, servers))}", None
    if (
        not splits
        and graph.group == "serving.kserve.io"
        and not any(c.commands for c in component.containers)
    ):
        return "KServe makes its command of objects that are not read", "its command in the manifest"
    if not splits and not graph.of_dynamo:
        return "its command starts no engine that is known", "the engine's own command, such as vllm serve"
    if not splits:
        return "the engine that it starts cannot be read from the manifest", _START
    most = max((split.gpus for split in splits if split is not None), default=0)
    shares = graph.kind == "StatefulSet" and component.replicas > 1
    if shares and most > (component.gpus or most) and any(map(_starts_ray, component.containers)):
        return "it starts Ray, and its other pods may share the model", None
    if None in splits:
        return "its parallel sizes cannot be read from the recipe", _SPLIT
    if component.gpus == 0 and not graph.of_dynamo:
        return "its pod requests no GPU, so that the container runtime decides which it sees", _REQUEST
    if component.gpus is None:
        return "the manifest does not tell how many GPUs it gets", "nvidia.com/gpu as a number"
    return None


def _find_splits(graph: Graph, component: Component) -> Iterator[Parallelism | None]:
    """The parallelism of each engine of a component; None if unknown.

    A graph's engine that names its nodes has the others in components of their own.
    """
    for each in find_component_instances(graph, component):
        split = each.engine.parallelism(each.given)
        if split is not None and split.nodes > 1 and (graph.of_dynamo or split.gpus % split.nodes):
            split = None
        yield split


def _hides_engine(graph: Graph, component: Component) -> bool:
    """Whether a worker with accelerators, or a component of unknown type with GPUs, runs no known engine."""
    computes = component.gpus != 0 or _has_accelerator(component)
    works = component.role in ("worker", "main", "prefill", "decode") and computes
    works = works or (bool(component.gpus) and component.role not in ("frontend", "planner", "epp"))
    return works and (component.main is not None or not graph.of_dynamo)


def _is_command(recipe: Recipe, graph: Graph, component: Component) -> bool:
    """Whether its main container's command and args are lists of text, as manifest.schema requires."""
    main = component.main
    found = index_containers(recipe).get((graph.file, main.line, main.column)) if main is not None else None
    given = [found[1].get(key) for key in ("command", "args")] if found is not None else []
    lists = [value for value in given if value is not None]
    return all(value.sequence and all(each.text is not None for each in value.sequence) for value in lists)


def _describe_unjudged(graph: Graph, component: Component, why: str, needs: str | None) -> Unjudged:
    place = Location(graph.file, component.line, component.column)
    return unjudged(component.name, why=why, needs=needs, location=place)


def _compare_gpus(
    graph: Graph, component: Component, given: int, known: list[Parallelism]
) -> Iterator[Finding]:
    place = _locate_ranks(graph, component)
    largest = max(known, key=lambda split: split.gpus_here)
    needed = largest.gpus_here
    together = sum(split.gpus_here for split in known)  # several launches: beside each other, or either one
    evidence = {"given": given, "needed": needed}
    if given < needed:
        yield fail(
            f"{component.name}: {largest} needs {needed} GPUs{_each(largest)}, a replica is given {given}",
            fix=_suggest_gpus(graph, component, needed),
            evidence=evidence,
            location=place,
        )
    elif given > together and not any(map(_is_elastic, find_component_instances(graph, component))):
        yield warn(
            f"{component.name}: {largest} uses {together} GPUs{_each(largest)}, a replica is given {given}",
            fix=_suggest_gpus(graph, component, together),
            evidence=evidence,
            location=place,
        )


def _locate_ranks(graph: Graph, component: Component) -> Location:
    """Where an engine without Dynamo states its ranks; else the component."""
    own = not graph.of_dynamo and graph.kind != "LLMInferenceService"  # whose command KServe writes
    for engine in find_component_instances(graph, component) if own else ():
        if (stated := engine.given.get(*_RANKS)) is not None and stated.line:
            return Location(stated.file, stated.line, stated.column)
    return Location(graph.file, component.line, component.column)


def _each(split: Parallelism) -> str:
    return " on each" if split.nodes > 1 else ""


def _is_elastic(engine: EngineInstance) -> bool:
    """Whether an engine may take further GPUs: while it runs, or as TGI every one that it sees."""
    if engine.engine.name == "tgi" and engine.given.get("num-shard", "sharded") is None:
        return True
    return engine.given.get("enable-elastic-ep", "elastic-ep-backend") is not None


def _suggest_gpus(graph: Graph, component: Component, wanted: int) -> str:
    nodes = max(component.nodes, -(-wanted // _USUAL_NODE))
    each, rest = divmod(wanted, nodes)
    if rest:
        return f"request {wanted} GPUs in total over {nodes} nodes"
    if nodes > component.nodes and graph.kind == "LeaderWorkerSet":
        return f"{set_gpus(graph, component, each)}; {set_value('spec.leaderWorkerTemplate.size', nodes)}"
    if nodes > component.nodes and not graph.of_dynamo:
        return f"use a LeaderWorkerSet of {nodes} pods with {each} GPUs each"
    if nodes > component.nodes:
        return f"{set_gpus(graph, component, each)}; {set_value('multinode.nodeCount', nodes)}"
    return set_gpus(graph, component, each, f"on each of {nodes} nodes" if nodes > 1 else "")
