"""Whether models fit the GPUs that a recipe asks for."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.engines.memory import GIB, MemoryEstimate
from dynocheck.engines.memory_budget import SizedEngine, size_engines
from dynocheck.engines.model_lookup import find_model_config
from dynocheck.facts import Recipes


@check("memory.weights-fit", title="The weights of every model fit the GPUs asked for")
def weights_fit(recipes: Recipes) -> Iterator[Finding]:
    """An engine whose weights do not fit ends with "CUDA out of memory", after the download.

    What a GPU holds follows from the model's configuration, how it is split, and the precision that it is
    stored in. The GPU is the product that the pods must run on by a nodeSelector or required affinity, else
    the largest known here: what fails fits on none. Nothing is added for activations, CUDA graphs and
    the like, so a pass is no promise. A model that is not in the table is judged by its `config.json`, with
    `model.safetensors.index.json` beside it, where the recipe holds them: in a folder of the model's name,
    or in a folder whose graphs load this one model. Weights that the engine quantizes or offloads while it
    loads them are not judged.

    Fix: raise the tensor parallel size and nvidia.com/gpu, or take a checkpoint in a smaller precision
    """
    for each, room in _estimate_engines(recipes):
        if not room.fits:
            yield fail(
                f"{each.component.name}: {each.name} puts at least {_format_gib(room.weights)} of weights "
                f"on a GPU, which has {_format_gib(each.memory)}{_describe_usable(each, room)} "
                f"({_describe_gpu(each)})",
                fix="split it over more GPUs, or take a checkpoint in a smaller precision",
                evidence=_collect_evidence(each, room),
                location=_locate(each, "tensor-parallel-size"),
            )


@check("memory.kv-cache", title="The KV cache holds at least one sequence of full length")
def kv_cache(recipes: Recipes) -> Iterator[Finding]:
    """What the weights leave is for the KV cache. vLLM does not start when that is too little for one
    sequence of --max-model-len; other engines refuse or evict the long requests.

    Counted is the most that there can be: what the engine itself takes is not known before it runs.

    Fix: set --max-model-len (SGLang: --context-length, TensorRT-LLM: max_seq_len) to what the traffic needs
    """
    for each, room in _estimate_engines(recipes):
        short = room.sequences is not None and room.sequences < 1
        if room.fits and short and each.budget is not None and not each.budget.adapts:
            yield warn(
                f"{each.component.name}: the KV cache has room for at most {room.tokens} tokens, "
                f"and a sequence of {each.name} may have {room.longest} ({_describe_gpu(each)})",
                fix="limit sequences to what fits, store the cache in FP8, or split it over more GPUs",
                evidence=_collect_evidence(each, room),
                location=_locate(each, "max-model-len", "context-length", "max-seq-len"),
            )


def _estimate_engines(recipes: Recipes) -> Iterator[tuple[SizedEngine, MemoryEstimate]]:
    """Every engine that can be judged, with what it leaves of a GPU.

    :raises Skip: there is none.
    """
    engines = list(size_engines(recipes))
    judged = [(each, each.room) for each in engines if each.room is not None]
    if not judged:
        raise Skip(_explain_skip(engines[0]) if engines else "no engine that runs on GPUs")
    yield from judged


def _explain_skip(each: SizedEngine) -> str:
    if each.model is None:
        found = find_model_config(each.recipe, each.graph, each.told or "")
        if found is not None:
            how = "which cannot be read" if found.problems else "in a way not known here"
            return f"{each.name or each.told} is described by {found.file}, {how}"
    if each.name is None:
        return (
            f"which model {each.component.name} loads cannot be told from the recipe; "
            "the config.json of the model in its folder would do"
        )
    if each.model is None:
        return f"the table of models does not have {each.name}; its config.json in the recipe would do"
    if each.memory is None:
        return f"the table of GPUs does not have the memory of {each.product}"
    return f"how {each.component.name} loads {each.name} cannot be told from its arguments"


def _describe_usable(each: SizedEngine, room: MemoryEstimate) -> str:
    return f", {_format_gib(room.limit)} of them for the engine" if room.limit < (each.memory or 0) else ""


def _describe_gpu(each: SizedEngine) -> str:
    return each.product or "the largest GPU known here; the recipe names none"


def _format_gib(size: float | None) -> str:
    return f"{(size or 0) / GIB:.1f} GiB"


def _collect_evidence(each: SizedEngine, room: MemoryEstimate) -> dict[str, object]:
    return {
        "weights_gib": round(room.weights / GIB, 1),
        "kv_bytes_per_token": room.token and round(room.token),
        "gpu_gib": round((each.memory or 0) / GIB, 1),
        "source": each.model.source if each.model else "",
    }


def _locate(each: SizedEngine, *names: str) -> Location:
    """Of the first of these arguments that is given, else of the launch."""
    found = each.arguments.get(*names)
    if found is None:
        return Location(each.graph.file, each.launch.line, each.launch.column)
    return Location(found.file, found.line, found.column)
