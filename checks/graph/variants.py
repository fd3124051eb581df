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
    note="nodes: those that one replica spans; weights: GiB on a GPU, at least; KV: KiB of cache a token "
    "takes on a GPU; tokens: that an engine's cache holds at most, where the GPU is named; ?: cannot be told",
)
def variants(recipes: Recipes) -> Iterator[Row]:
    """A row for each graph, in it a line for each of its components that have an engine or GPUs."""
    rooms = {
        (each.instance.graph.file, each.instance.graph.name, each.instance.name): each
        for each in size_engines(recipes)
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
                [rooms.get((graph.file, graph.name, component.name)) for component in computing]
            ),
        }


def _format_memory(engines: list[SizedEngine | None]) -> dict[str, tuple[str, ...]]:
    """What each engine's GPUs hold; what depends on the size of the GPU only where its product is named."""
    rooms = [each.room if each is not None else None for each in engines]
    told = [
        room if each is not None and each.product else None for each, room in zip(engines, rooms, strict=True)
    ]
    held = {
        "weights": tuple(f"{room.weights / GIB:.1f}" if room else "?" for room in rooms),
        "KV": tuple(f"{room.token / 1024:.1f}" if room and room.token else "?" for room in rooms),
    }
    if not any(told):
        return held
    tokens = tuple(f"{room.tokens:,}" if room and room.tokens is not None else "?" for room in told)
    return {**held, "tokens": tokens}


def _is_computing(component: Component) -> bool:
    return component.gpus != 0 or any(
        detect_engine(launch) for container in component.containers for launch in container.launches
    )


def _format_engines(graph: Graph) -> str:
    """The engines that it starts, where it names no framework."""
    launches = (
        launch for c in graph.components for container in c.containers for launch in container.launches
    )
    found = (detect_engine(launch) for launch in launches)
    return ", ".join(dict.fromkeys(engine.name for engine in found if engine))


def _label_roles(components: list[Component]) -> tuple[str, ...]:
    """Each component's role, or its name where several have the same role."""
    counts = Counter(component.role for component in components)
    return tuple(c.role if counts[c.role] == 1 else c.name for c in components)


def _format_parallelism(graph: Graph, component: Component) -> str:
    splits: list[str] = []
    for container in component.containers:
        for launch in container.launches:
            engine = detect_engine(launch)
            if engine is not None:
                given = engine.arguments(container, launch, graph.file)
                split = engine.parallelism(given)
                splits.append(f"{split}{_format_sharding(split, given)}" if split is not None else "?")
    return ", ".join(dict.fromkeys(splits)) or "?"


def _format_sharding(split: Parallelism, given: Arguments) -> str:
    """How attention and experts are divided over the ranks, where the arguments say so.

    vLLM divides experts over all ranks of tensor, context and data parallelism, the others over as many
    as they are told.
    """
    attention = given.is_enabled("enable-dp-attention") or given.is_enabled("enable-attention-dp")
    ranks = split.tensor * split.context * split.data
    experts = ranks if given.is_enabled("enable-expert-parallel") else given.size("expert-parallel-size")
    data = split.data if given.is_enabled("enable-dp-attention") else split.tensor
    said = f", attention DP {data}" if attention and data > 1 else ""
    return f"{said}, EP {experts or '?'}" if experts != 1 else said


def _label_graphs(recipes: Recipes, graphs: list[Graph]) -> list[str]:
    """A name for each graph: its folder, without what all recipes share; its file or its own name where
    the folder does not tell it from others.
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
    """The folders that all paths lie in, with the slash after them."""
    folders = [posixpath.dirname(path) if path.endswith((".yaml", ".yml")) else path for path in paths]
    try:
        return f"{posixpath.commonpath(folders)}/"
    except ValueError:  # some are absolute and some are not
        return ""
