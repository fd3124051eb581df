"""Checks that replicas have the GPUs that their engine's parallel sizes need."""

import re
from collections.abc import Iterator
from itertools import takewhile

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.checks.parallelism._triton import check_ranks
from dynocheck.core.fixes import remove, remove_argument, replace_words, set_gpus, set_value
from dynocheck.core.outcomes import Unjudged
from dynocheck.data.images import parse_image
from dynocheck.data.servers import PROGRAMS, find_server, find_server_image
from dynocheck.engines import EngineInstance, Parallelism, llamacpp
from dynocheck.engines.instances import find_component_instances
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.facts import (
    POD_TEMPLATE_PATHS,
    Component,
    Graph,
    Recipe,
    Recipes,
    index_containers,
    list_pod_templates,
)

_ACCELERATORS = {"google.com/tpu", "habana.ai/gaudi", "aws.amazon.com/neuron", "aws.amazon.com/neuroncore"}
_FOR_CPUS = re.compile(r"server(-b\d+)?")  # tags of llama.cpp's images: its docs/docker.md
_RANKS = ("tensor-parallel-size", "num-shard", "pipeline-parallel-size")
_LISTS_GPUS = re.compile(r"all|\d+(,\d+)*")  # by their index on the node
_CUDA = "https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars"
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
    compared, but llama.cpp's image for CPUs leaves GPUs idle, and so does --gpu-layers 0. Triton starts an
    engine of TensorRT-LLM with a rank of MPI for each GPU: alone it is one. Arguments count wherever the
    engine reads them: flags, variables, engine YAML. CUDA counts the GPUs of a pod from 0, and shows those of
    CUDA_VISIBLE_DEVICES up to the first that the pod does not have; with NVIDIA_VISIBLE_DEVICES a container
    may get others than the kubelet gave it. Not judged are an engine whose parallel flags are invalid, until
    engine.flags-known and engine.values pass, one whose sizes are not all in the recipe, and a worker whose
    command starts no recognizable engine.

    Fix: make nvidia.com/gpu times the nodes of a replica equal the product of the parallel sizes
    """
    workers = [
        (recipe, graph, component, splits)
        for recipe in recipes
        for graph in recipe.deployments
        for component in graph.components
        if not _runs_elsewhere(component) and not _takes_all(component)
        if (splits := list(_find_splits(graph, component)))
        or (_hides_engine(graph, component) and _is_command(recipe, graph, component))
    ]
    idle = [
        (component, *idleness)
        for recipe in recipes
        for graph in recipe.servers
        for component in graph.components
        if component.gpus and (idleness := _find_idle(graph, component)) is not None
    ]
    if not workers and not idle:
        raise Skip("no engine")
    for component, why, fix, place in idle:
        yield judged(1, "components")
        yield warn(f"{component.name}: {why}, a replica is given {component.gpus}", fix=fix, location=place)
    for recipe, graph, component, splits in workers:
        known = [split for split in splits if split is not None]
        reason = _explain_unjudged(graph, component, splits)
        if not splits and not graph.of_dynamo:
            yield from check_ranks(graph, component)
        given = (component.gpus or 0) * component.nodes
        if (
            reason is None
            and any(split.gpus_here > given for split in known)
            and _has_ray_peers(recipe, graph, component)
        ):
            reason = (
                "it starts Ray itself, whose other pods may have the GPUs",
                "a RayCluster or a LeaderWorkerSet",
            )
        if reason is not None:
            yield _describe_unjudged(graph, component, *reason)
        else:
            yield judged(1, "components")
            yield from _compare_gpus(graph, component, given, known)
        for engine in find_component_instances(graph, component):
            yield from _check_visible(recipe, engine)


def _runs_elsewhere(component: Component) -> bool:
    """Whether it is given no GPU, and starts an engine in an image for CPUs or on another accelerator."""
    on_cpu = any("cpu" in (each.image or "") for each in component.containers)
    starts = any(each.launches for each in component.containers)
    return not component.gpus and starts and (on_cpu or _has_accelerator(component))


def _has_accelerator(component: Component) -> bool:
    return not _ACCELERATORS.isdisjoint(component.resources)


def _takes_all(component: Component) -> bool:
    """Whether all that it starts spreads a model over the GPUs that it sees, however many."""
    servers = [find_server(launch.module) for c in component.containers for launch in c.launches]
    return bool(servers) and all(server is not None and server.takes_all for server in servers)


def _find_idle(graph: Graph, component: Component) -> tuple[str, str, Location] | None:
    """Why llama.cpp uses none of a component's GPUs, with the fix and its place; None if it may use them."""
    for engine in find_component_instances(graph, component):
        container, layers = engine.container, engine.given.get("gpu-layers")
        tag = parse_image(container.image or "").tag
        if engine.engine is not llamacpp.ENGINE or not engine.given.complete:
            continue
        if layers is not None and layers.integer == 0:
            place = Location(graph.file, layers.line, layers.column)
            return f"{layers.spelled} 0 leaves GPUs idle", remove_argument(layers.spelled), place
        if find_server_image(container.image or "") is not None and _FOR_CPUS.fullmatch(tag):
            place = Location(graph.file, container.image_line, container.image_column)
            return "this image of llama.cpp uses no GPU", replace_words(tag, f"server-cuda{tag[6:]}"), place
    return None


def _has_ray_peers(recipe: Recipe, graph: Graph, component: Component) -> bool:
    """Whether a pod that no group is known of starts Ray itself, and others of the recipe may join it."""
    starts = any(
        (words[0].text, words[1].text) == ("ray", "start")
        for container in component.containers
        for words in container.commands
        if len(words) > 1
    )
    joins = any(
        "ray start" in text and "--address" in text
        for template in list_pod_templates(recipe)
        for container in template.containers
        for text in [" ".join(w.text or "" for k in ("command", "args") for w in container.get_items(k))]
    )
    return graph.kind in POD_TEMPLATE_PATHS and starts and (joins or component.replicas > 1)


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
        and (graph.kind == "LLMInferenceService" or not any(c.commands for c in component.containers))
    ):
        return "KServe makes its command of objects that are not read", "its command in the manifest"
    if not splits and not graph.of_dynamo:
        return "its command starts no engine that is known", "the engine's own command, such as vllm serve"
    if not splits:
        return "the engine that it starts cannot be read from the manifest", _START
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
    """Whether a worker, or a component of unknown type with GPUs, runs no known engine.

    A graph's worker without GPUs and with a program of Dynamo may be its mocker.
    """
    computes = component.gpus != 0 or _has_accelerator(component)
    computes = computes or not any(each.launches for each in component.containers)
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


def _check_visible(recipe: Recipe, engine: EngineInstance) -> Iterator[Finding]:
    """Reports variables that hide GPUs from an engine, or show it those of others."""
    shown, gpus = engine.find_variable("NVIDIA_VISIBLE_DEVICES"), engine.component.gpus
    if shown is not None and _LISTS_GPUS.fullmatch(shown.value or "") and gpus is not None:
        which = "every GPU" if shown.value == "all" else f"GPU {shown.value}"
        yield warn(
            f"{engine.name}: NVIDIA_VISIBLE_DEVICES may show it {which} of its node, whichever the kubelet "
            f"gives it; it requests {gpus or 'none'}",
            fix=remove_argument(shown.name, "" if gpus else "and request nvidia.com/gpu"),
            location=Location(engine.graph.file, shown.line, shown.column),
        )
    visible = engine.find_variable("CUDA_VISIBLE_DEVICES")
    split = engine.engine.parallelism(engine.given)
    needed = split.gpus_here if split is not None else 1
    if visible is None or shown is not None or not gpus or needed > gpus or _is_privileged(recipe, engine):
        return
    left = _count_visible(visible.value or "", gpus)
    if left is not None and left < needed:
        yield fail(
            f"{engine.name}: CUDA_VISIBLE_DEVICES={visible.value} leaves {left} of its {gpus} GPUs, and "
            f"{split or 'it'} needs {needed}",
            fix=remove_argument(visible.name),
            evidence={"source": _CUDA},
            location=Location(engine.graph.file, visible.line, visible.column),
        )


def _count_visible(value: str, gpus: int) -> int | None:
    """The GPUs of a pod that CUDA shows: those before the first that it does not have; None if unknown."""
    entries = [entry.strip() for entry in value.split(",")]
    if not value or "$" in value or any(entry.startswith(("GPU-", "MIG-")) for entry in entries):
        return None
    valid = [*takewhile(lambda entry: entry.isdecimal() and len(entry) < 10 and int(entry) < gpus, entries)]
    return len(valid) if len({*valid}) == len(valid) else None


def _is_privileged(recipe: Recipe, engine: EngineInstance) -> bool:
    """Whether a container sees every GPU of its node whatever it requests."""
    place = engine.graph.file, engine.container.line, engine.container.column
    found = index_containers(recipe).get(place)
    value = found[1].get("securityContext", "privileged") if found is not None else None
    return value is not None and value.data is True


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
    if wanted < nodes:
        return "raise the parallel sizes to use all nodes, or remove multinode"
    if rest and graph.of_dynamo and component.gpus and not wanted % component.gpus:
        nodes = wanted // component.gpus
        return set_value("multinode.nodeCount", nodes) if nodes > 1 else remove("multinode")
    if rest:
        return f"request {wanted} GPUs in total over {nodes} nodes"
    if nodes > component.nodes and graph.kind == "LeaderWorkerSet":
        return f"{set_gpus(graph, component, each)}; {set_value('spec.leaderWorkerTemplate.size', nodes)}"
    if nodes > component.nodes and not graph.of_dynamo:
        return f"use a LeaderWorkerSet of {nodes} pods with {each} GPUs each"
    if nodes > component.nodes:
        return f"{set_gpus(graph, component, each)}; {set_value('multinode.nodeCount', nodes)}"
    return set_gpus(graph, component, each, f"on each of {nodes} nodes" if nodes > 1 else "")
