"""Table of the resources that each graph requests."""

import posixpath
from collections import Counter
from collections.abc import Iterator

from dynocheck import Row, table
from dynocheck.engines import Arguments, Parallelism, detect_engine
from dynocheck.engines.memory import GIB
from dynocheck.engines.memory_budget import SizedEngine, size_engines
from dynocheck.facts import Component, Graph, Recipes


@table(
    "graph.variants",
    title="Resources of each variant",
    note="nodes: per replica; weights: at least this many GiB per GPU; KV: KiB of cache per token and GPU; "
    "tokens: capacity of an engine's cache, if the GPU product is known; ?: unknown",
)
def variants(recipes: Recipes) -> Iterator[Row]:
    """A row per graph, with a line for each component that has an engine or GPUs."""
    sized = {
        (engine.instance.graph.file, engine.instance.graph.name, engine.instance.name): engine
        for engine in size_engines(recipes)
    }
    graphs = [graph for recipe in recipes for graph in recipe.graphs]
    for graph, label in zip(graphs, _label_graphs(recipes, graphs), strict=True):
        computing = [component for component in graph.components if _is_computing(component)]
        yield {
            "variant": label,
            "framework": graph.framework or _format_engines(graph),
            "GPUs": "?" if graph.gpus is None else graph.gpus,
            "role": _label_roles(computing),
            "replicas": tuple(component.replicas for component in computing),
            "nodes": tuple(component.nodes for component in computing),
            "parallelism": tuple(_format_parallelism(graph, component) for component in computing),
            **_format_memory(
                [sized.get((graph.file, graph.name, component.name)) for component in computing]
            ),
        }


def _format_memory(engines: list[SizedEngine | None]) -> dict[str, tuple[str, ...]]:
    """The memory use of each engine's GPUs, and the tokens in its cache if the GPU product is known."""
    rooms = [engine.room if engine is not None else None for engine in engines]
    of_product = [engine.room if engine is not None and engine.product else None for engine in engines]
    columns = {
        "weights": tuple(f"{room.weights / GIB:.1f}" if room else "?" for room in rooms),
        "KV": tuple(f"{room.token / 1024:.1f}" if room and room.token else "?" for room in rooms),
    }
    if not any(of_product):
        return columns
    tokens = tuple(f"{room.tokens:,}" if room and room.tokens is not None else "?" for room in of_product)
    return {**columns, "tokens": tokens}


def _is_computing(component: Component) -> bool:
    return component.gpus != 0 or any(
        detect_engine(launch) for container in component.containers for launch in container.launches
    )


def _format_engines(graph: Graph) -> str:
    """The engines that a graph starts."""
    launches = (
        launch for c in graph.components for container in c.containers for launch in container.launches
    )
    engines = (detect_engine(launch) for launch in launches)
    return ", ".join(dict.fromkeys(engine.name for engine in engines if engine))


def _label_roles(components: list[Component]) -> tuple[str, ...]:
    """The role of each component, or its name if several have the same role."""
    counts = Counter(component.role for component in components)
    return tuple(c.role if counts[c.role] == 1 else c.name for c in components)


def _format_parallelism(graph: Graph, component: Component) -> str:
    splits: list[str] = []
    for container in component.containers:
        for launch in container.launches:
            engine = detect_engine(launch)
            if engine is not None:
                arguments = engine.arguments(container, launch, graph.file)
                split = engine.parallelism(arguments)
                splits.append(f"{split}{_format_sharding(split, arguments)}" if split is not None else "?")
    return ", ".join(dict.fromkeys(splits)) or "?"


def _format_sharding(split: Parallelism, arguments: Arguments) -> str:
    """How attention and experts are divided over the ranks; empty unless arguments set it.

    vLLM divides experts over all ranks of tensor, context and data parallelism, the other engines over
    expert-parallel-size.
    """
    attention = arguments.is_enabled("enable-dp-attention") or arguments.is_enabled("enable-attention-dp")
    ranks = split.tensor * split.context * split.data
    every_rank = arguments.is_enabled("enable-expert-parallel")
    experts = ranks if every_rank else arguments.size("expert-parallel-size")
    data = split.data if arguments.is_enabled("enable-dp-attention") else split.tensor
    text = f", attention DP {data}" if attention and data > 1 else ""
    return f"{text}, EP {experts or '?'}" if experts != 1 else text


def _label_graphs(recipes: Recipes, graphs: list[Graph]) -> list[str]:
    """A name for each graph: its folder below the recipes' common one, or its file or own name if several
    graphs share the folder.
    """
    shared = _find_common_folder([recipe.path for recipe in recipes])
    files = [posixpath.splitext(graph.file.removeprefix(shared))[0] for graph in graphs]
    folders = [posixpath.dirname(file) for file in files]
    in_folder, in_file = Counter(folders), Counter(files)
    labels = []
    for graph, file, folder in zip(graphs, files, folders, strict=True):
        if in_file[file] > 1:
            labels.append(f"{file}: {graph.name}")
        elif in_folder[folder] > 1:
            labels.append(file)
        else:
            labels.append(folder or graph.name or file)
    return labels


def _find_common_folder(paths: list[str]) -> str:
    """The folder that contains all paths, with a trailing slash."""
    folders = [posixpath.dirname(path) if path.endswith((".yaml", ".yml")) else path for path in paths]
    try:
        return f"{posixpath.commonpath(folders)}/"
    except ValueError:  # absolute and relative paths
        return ""
