"""What each engine of a recipe does with the memory of its GPUs."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dynocheck.data import gpus
from dynocheck.data.models import Model
from dynocheck.engines.arguments import Arguments
from dynocheck.engines.base import Engine
from dynocheck.engines.instances import find_component_instances
from dynocheck.engines.memory import GIB, MemoryBudget, MemoryEstimate, estimate_memory
from dynocheck.engines.model_lookup import resolve_model
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.facts.k8s.scheduling_constraints import Placement, list_placements
from dynocheck.facts.recipe.recipes import Component, Graph, Launch, Mount, Recipe

PRODUCT_LABELS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator")
_CACHED = re.compile(r"/models--([^/]+?)--([^/]+)(/|$)")  # a folder of the hub's cache


@dataclass(frozen=True, kw_only=True)
class SizedEngine:
    """An engine, the model that it loads and what of that a GPU holds.

    `told` is the model as the engine is told it, `name` its hub id, or the same where only the recipe
    describes it. `model` is None where neither the table nor the recipe does, `budget` where an argument
    cannot be known or changes what is loaded, `room` where one of the two is missing. `memory` is that of
    one GPU in bytes: of the product that the component's pods must run on, which `product` names, or else of
    the largest there is.
    """

    recipe: Recipe
    graph: Graph
    component: Component
    launch: Launch
    image: str
    engine: Engine
    told: str | None
    name: str | None
    model: Model | None
    arguments: Arguments
    budget: MemoryBudget | None
    product: str | None
    memory: float | None
    room: MemoryEstimate | None


def size_engines(recipes: Iterable[Recipe]) -> Iterator[SizedEngine]:
    """Every engine that a component of a recipe starts on GPUs."""
    for recipe in recipes:
        for graph, component, placement in list_placements([recipe]):
            if component.gpus != 0:
                yield from _size_component(recipe, graph, component, placement)


def _size_component(
    recipe: Recipe, graph: Graph, component: Component, placement: Placement
) -> Iterator[SizedEngine]:
    product, memory = _find_gpu_memory(placement)
    for each in find_component_instances(graph, component):
        container, launch, engine, given = each.container, each.launch, each.engine, each.given
        told = each.model
        name = resolve_model_id(recipe, (*container.mounts, *component.claims), told)
        model = resolve_model(recipe, graph, told, name) if told else None
        budget = None if has_rejected_parallel_args(container, launch) else engine.budget(given)
        left = None
        if (
            model is not None
            and budget is not None
            and memory is not None
            and _loads_as_stored(model, budget.quantization)
        ):
            left = estimate_memory(model, budget, memory)
        yield SizedEngine(
            recipe=recipe,
            graph=graph,
            component=component,
            launch=launch,
            image=container.image or "",
            engine=engine,
            told=told,
            name=name or (told if model is not None else None),
            model=model,
            arguments=given,
            budget=budget,
            product=product,
            memory=memory,
            room=left,
        )


def resolve_model_id(recipe: Recipe, mounts: Iterable[Mount], model: str | None) -> str | None:
    """The hub id of what an engine loads, also by a path that the recipe downloads it to; None if unknown.

    :param mounts: those of its container.
    """
    if model is None:
        return None
    if model.count("/") == 1 and not model.startswith(("/", ".", "~")):
        return model
    cached = _CACHED.search(model)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    places = {_resolve_claim_path(model, mount) for mount in mounts if mount.source == "claim"} - {None}
    fetched = {download.model for download in recipe.downloads if download.folder in places}
    return fetched.pop() if len(fetched) == 1 else None


def _resolve_claim_path(path: str, mount: Mount) -> str | None:
    """A path in a container as downloads name their folders, or None when it is not on this claim."""
    if not (path.startswith("/") and mount.path.startswith("/")):
        return None
    inside = posixpath.relpath(path, mount.path)
    if inside.startswith(".."):
        return None
    return f"{mount.name}:{posixpath.normpath(posixpath.join(mount.sub_path, inside))}"


def _find_gpu_memory(placement: Placement) -> tuple[str | None, float | None]:
    """The product that pods must run on and the bytes of one, else the bytes of the largest known here.

    The bytes are None when the table does not have them.
    """
    products = placement.find_required_values(*PRODUCT_LABELS)
    if products is None:
        return None, (gpus.largest_gpu().memory_gb or 0) * GIB
    memory = gpus.max_memory_gb(products)
    return ", ".join(sorted(products)), None if memory is None else memory * GIB


def _loads_as_stored(model: Model, quantization: str | None) -> bool:
    """Whether the weights are loaded as they lie on disk: no flag, or one that says what they are."""
    if quantization is None:
        return False
    said = quantization.lower().replace("_", "-")
    kinds = {model.stored.attention, model.stored.mlp, model.stored.experts}
    return not said or said in kinds or (said, "fp8") == ("modelopt", max(kinds - {"bf16"}, default=""))
