"""How much GPU memory each engine of a recipe uses, and for which model."""

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dynocheck.data import gpus
from dynocheck.data.models import Model
from dynocheck.engines.instances import EngineInstance, find_component_instances
from dynocheck.engines.memory import GIB, MemoryBudget, MemoryEstimate, estimate_memory
from dynocheck.engines.model_lookup import resolve_model
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.facts import Mount, Placement, Recipe, list_placements

PRODUCT_LABELS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator")
_CACHED = re.compile(r"/models--([^/]+?)--([^/]+)(/|$)")  # a folder of the hub's cache


@dataclass(frozen=True, kw_only=True)
class SizedEngine:
    """An engine, the model that it loads and how much of it a GPU holds.

    `name` is the model's hub id, or the name given to the engine if only the recipe describes the model.
    `model` is None if neither the table nor the recipe describes it, `budget` if an argument is unknown or
    changes what is loaded, `room` if one of the two is missing. `memory` is that of one GPU in bytes: of
    `product`, which the component's pods must run on, or else of the largest known GPU.
    """

    recipe: Recipe
    instance: EngineInstance
    name: str | None
    model: Model | None
    budget: MemoryBudget | None
    product: str | None
    memory: float | None
    room: MemoryEstimate | None


def size_engines(recipes: Iterable[Recipe]) -> Iterator[SizedEngine]:
    """Every engine that a component of a recipe starts on GPUs."""
    for recipe in recipes:
        for graph, component, placement in list_placements([recipe]):
            if component.gpus != 0:
                for instance in find_component_instances(graph, component):
                    yield _size_engine(recipe, instance, placement)


def _size_engine(recipe: Recipe, instance: EngineInstance, placement: Placement) -> SizedEngine:
    product, memory = _find_gpu_memory(placement)
    container, asked = instance.container, instance.model
    name = resolve_model_id(recipe, (*container.mounts, *instance.component.claims), asked)
    model = resolve_model(recipe, instance.graph, asked, name) if asked else None
    rejected = has_rejected_parallel_args(container, instance.launch)
    budget = None if rejected else instance.engine.budget(instance.given)
    room = None
    if model is not None and budget is not None and memory is not None:
        stored = _loads_as_stored(model, budget.quantization)
        room = estimate_memory(model, budget, memory) if stored else None
    return SizedEngine(
        recipe=recipe,
        instance=instance,
        name=name or (asked if model is not None else None),
        model=model,
        budget=budget,
        product=product,
        memory=memory,
        room=room,
    )


def resolve_model_id(recipe: Recipe, mounts: Iterable[Mount], model: str | None) -> str | None:
    """The hub id of the model that an engine loads; None if unknown.

    A path in the hub's cache names it, and so does one that the recipe downloads a model to.

    :param mounts: the mounts of the engine's container.
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
    """A path in a container as `Download.folder` has it, None if it is not on this claim."""
    if not (path.startswith("/") and mount.path.startswith("/")):
        return None
    inside = posixpath.relpath(path, mount.path)
    if inside.startswith(".."):
        return None
    return f"{mount.name}:{posixpath.normpath(posixpath.join(mount.sub_path, inside))}"


def _find_gpu_memory(placement: Placement) -> tuple[str | None, float | None]:
    """The GPU product that pods must run on, if any, and its bytes, else those of the largest known GPU.

    The bytes are None if the table lacks the product.
    """
    products = placement.find_required_values(*PRODUCT_LABELS)
    if products is None:
        return None, (gpus.largest_gpu().memory_gb or 0) * GIB
    memory = gpus.max_memory_gb(products)
    return ", ".join(sorted(products)), None if memory is None else memory * GIB


def _loads_as_stored(model: Model, quantization: str | None) -> bool:
    """Whether the weights are loaded as stored: no --quantization, or the one that they already have."""
    if quantization is None:
        return False
    method = quantization.lower().replace("_", "-")
    kinds = {model.stored.attention, model.stored.mlp, model.stored.experts}
    return not method or method in kinds or (method, "fp8") == ("modelopt", max(kinds - {"bf16"}, default=""))
