"""How much GPU memory each engine of a recipe uses, and for which model."""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from dynocheck.data import gpus
from dynocheck.data.models import Model
from dynocheck.engines.instances import EngineInstance, find_component_instances
from dynocheck.engines.memory import GIB, MemoryBudget, MemoryEstimate, estimate_memory
from dynocheck.engines.model_lookup import resolve_model
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.engines.speculation import OWN_LAYERS, drafts_by_head, find_draft
from dynocheck.facts import GpuNode, IdentityCache, Mount, Placement, Recipe, list_placements

PRODUCT_LABELS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator")
_MEMORY_LABEL = "nvidia.com/gpu.memory"  # in MiB
_MIB = 2**20
_OF_INTEGERS = ("awq", "gptq", "moe-wna16", "marlin")  # of which none quantizes what is stored in 16 bits
_CACHED = re.compile(r"/models--([^/]+?)--([^/]+)(/|$)")  # a folder of the hub's cache


@dataclass(frozen=True)
class GpuMemory:
    """The memory of the GPU that a component's pods get: at least, and at most; in bytes.

    `products` are the GPUs that it may be, empty if any known one may. The bounds are None where the memory
    of one of them is unknown.
    """

    products: tuple[str, ...]
    least: float | None
    most: float | None


@dataclass(frozen=True, kw_only=True)
class SizedEngine:
    """An engine, the model that it loads and how much of it a GPU holds.

    `name` is the model's hub id, or the name given to the engine if only the recipe describes the model.
    `model` is None if neither the table nor the recipe describes it, `budget` if an argument is unknown or
    changes what is loaded. `room` is what the largest GPU that it may run on has, `least_room` the smallest;
    they are None if one of the others is missing. They count what drafts tokens for it, `draft`, if it is
    `draft_sized`: the name of a model, or layers of the model itself.
    """

    recipe: Recipe
    instance: EngineInstance
    name: str | None
    model: Model | None
    budget: MemoryBudget | None
    gpu: GpuMemory
    room: MemoryEstimate | None
    least_room: MemoryEstimate | None
    draft: str = ""
    draft_sized: bool = True

    @property
    def product(self) -> str | None:
        """The GPUs that it may run on, None if any may."""
        return ", ".join(self.gpu.products) or None


def size_engines(recipes: Iterable[Recipe], nodes: Sequence[GpuNode] = ()) -> Iterator[SizedEngine]:
    """Every engine that a component of a recipe starts on GPUs, unless it puts there what fits.

    :param nodes: all GPU nodes of the cluster that it runs on, if that is known.
    """
    for recipe in recipes:
        if nodes:
            yield from _size_engines(recipe, nodes)
        else:
            yield from _sized.get(recipe, make=partial(_size_once, recipe))


_sized: IdentityCache[tuple[SizedEngine, ...]] = IdentityCache(4096)  # several checks ask for the same


def _size_once(recipe: Recipe) -> tuple[SizedEngine, ...]:
    return tuple(_size_engines(recipe, ()))


def _size_engines(recipe: Recipe, nodes: Sequence[GpuNode]) -> Iterator[SizedEngine]:
    for graph, component, placement in list_placements([recipe], servers=True):
        if component.gpus != 0:
            gpu = _find_gpu_memory(placement, [node for node in nodes if placement.selects(node.node)])
            for instance in find_component_instances(graph, component):
                if not instance.engine.adapts:
                    yield _size_engine(recipe, instance, gpu)


def _size_engine(recipe: Recipe, instance: EngineInstance, gpu: GpuMemory) -> SizedEngine:
    container, asked = instance.container, instance.model
    name = resolve_model_id(recipe, (*container.mounts, *instance.component.claims), asked)
    model = resolve_model(recipe, instance.graph, asked, name) if asked else None
    rejected = has_rejected_parallel_args(container, instance.launch)
    budget = None if rejected else instance.engine.budget(instance.given)
    draft = None if model is None else _find_draft_bytes(recipe, instance, model)
    room = least = None
    if model is not None and budget is not None and _loads_as_stored(model, budget.quantization):
        room = None if gpu.most is None else estimate_memory(model, budget, gpu.most, draft or 0)
        least = None if gpu.least is None else estimate_memory(model, budget, gpu.least, draft or 0)
    return SizedEngine(
        recipe=recipe,
        instance=instance,
        name=name or (asked if model is not None else None),
        model=model,
        budget=budget,
        gpu=gpu,
        room=room,
        least_room=least,
        draft=find_draft(instance) or "",
        draft_sized=draft is not None,
    )


def _find_draft_bytes(recipe: Recipe, instance: EngineInstance, model: Model) -> float | None:
    """The weights that draft tokens for an engine; None if unknown."""
    draft = find_draft(instance)
    if draft in ("", OWN_LAYERS):
        return model.drafting_bytes if draft else 0
    name = resolve_model_id(recipe, (*instance.container.mounts, *instance.component.claims), draft)
    found = resolve_model(recipe, instance.graph, draft, name) if draft else None
    if found is None or found.opaque or not drafts_by_head(instance, draft or ""):
        return found.weight_bytes if found is not None else None
    return found.weight_bytes - found.vocabulary_bytes


def resolve_model_id(recipe: Recipe, mounts: Collection[Mount], model: str | None) -> str | None:
    """The hub id of the model that an engine loads; None if unknown.

    A path in the hub's cache names it, and so does one that the recipe or KServe downloads a model to, or
    that ends with the name of one that it downloads.

    :param mounts: the mounts of the engine's container.
    """
    if model is None:
        return None
    if model.count("/") == 1 and not model.startswith(("/", ".", "~")):
        return model
    cached = _CACHED.search(model)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    filled = next((m.name for m in mounts if m.source == "hub" and m.path == model.rstrip("/")), None)
    if filled is not None:
        return filled
    places = {_resolve_claim_path(model, mount) for mount in mounts if mount.source == "claim"} - {None}
    fetched = {download.model for download in recipe.downloads if download.folder in places}
    fetched = fetched or {d.model for d in recipe.downloads if _is_named_for(model, d.model)}
    return fetched.pop() if len(fetched) == 1 else None


def _is_named_for(path: str, model: str | None) -> bool:
    """Whether the last part of a path is the name of a model, without its owner."""
    return (
        model is not None and posixpath.basename(path.rstrip("/")).lower() == model.rpartition("/")[2].lower()
    )


def _resolve_claim_path(path: str, mount: Mount) -> str | None:
    """A path in a container as `Download.folder` has it, None if it is not on this claim."""
    if not (path.startswith("/") and mount.path.startswith("/")):
        return None
    inside = posixpath.relpath(path, mount.path)
    if inside.startswith(".."):
        return None
    return f"{mount.name}:{posixpath.normpath(posixpath.join(mount.sub_path, inside))}"


def _find_gpu_memory(placement: Placement, nodes: Sequence[GpuNode]) -> GpuMemory:
    """The memory of the GPUs of these nodes, else of the GPUs that the placement requires, else of any."""
    if nodes:
        found = {node.label or node.name: _find_node_memory(node) for node in nodes}
        return _bound_memory(found)
    labelled = placement.find_required_values(_MEMORY_LABEL) or ()
    if labelled and all(value.isdecimal() for value in labelled):
        return _bound_memory({f"GPUs of {value} MiB": float(value) * _MIB for value in labelled})
    products = placement.find_required_values(*PRODUCT_LABELS) or ()
    known = {product: gpus.find_memory_gb(product) for product in products}
    return _bound_memory({product: size and float(size * GIB) for product, size in known.items()})


def _find_node_memory(node: GpuNode) -> float | None:
    size = gpus.find_memory_gb(node.label)
    return node.memory * _MIB if node.memory is not None else size and size * GIB


def _bound_memory(found: Mapping[str, float | None]) -> GpuMemory:
    sizes = [size for size in found.values() if size is not None]
    products = tuple(sorted(found))
    if len(sizes) < len(found):
        return GpuMemory(products, None, None)
    sizes = sizes or [size * GIB for size in gpus.list_memory_sizes()]
    return GpuMemory(products, min(sizes), max(sizes))


def _loads_as_stored(model: Model, quantization: str | None) -> bool:
    """Whether the weights are loaded as stored: no --quantization, or the one that they already have."""
    if quantization is None:
        return False
    method = quantization.lower().replace("_", "-")
    kinds = {*msgspec.structs.astuple(model.stored)}
    if method.startswith("modelopt"):
        return bool(kinds & {"fp8", "nvfp4"})
    if method == "compressed-tensors":
        return kinds != {"bf16"}
    if method.startswith(_OF_INTEGERS):
        return any(kind.startswith("int") for kind in kinds)
    return not method or method in kinds
