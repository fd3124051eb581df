"""Checks that model weights and KV cache fit the GPUs that a recipe requests."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.engines.memory import GIB, MemoryEstimate
from dynocheck.engines.memory_budget import SizedEngine, size_engines
from dynocheck.engines.model_lookup import find_model_config
from dynocheck.facts import Recipes


@check("memory.weights-fit", title="Model weights fit the requested GPUs")
def weights_fit(recipes: Recipes) -> Iterator[Finding]:
    """An engine whose weights do not fit exits with "CUDA out of memory", after the download.

    The size of the weights on a GPU follows from the model's configuration, its parallel sizes and its stored
    precision. The GPU is the product that a nodeSelector or required affinity demands, else the largest
    known one, so that weights which fail fit no GPU. Activations and CUDA graphs are not counted: a pass is
    no guarantee. A model that is not in the table is read from its `config.json`, with
    `model.safetensors.index.json` beside it, if the recipe contains them in a folder of the model's name, or
    in a folder whose graphs load only this model. Weights that the engine quantizes or offloads while
    loading are not checked.

    Fix: raise the tensor parallel size and nvidia.com/gpu, or use a checkpoint in a smaller precision
    """
    for engine, room in _estimate_engines(recipes):
        if not room.fits:
            limit = "" if room.limit >= (engine.memory or 0) else f", {_format_gib(room.limit)} of it usable"
            yield fail(
                f"{engine.instance.name}: the weights of {engine.name} take at least "
                f"{_format_gib(room.weights)} on each GPU, which has {_format_gib(engine.memory)}{limit} "
                f"({_describe_gpu(engine)})",
                fix="split the model over more GPUs, or use a checkpoint in a smaller precision",
                evidence=_collect_evidence(engine, room),
                location=Location(*engine.instance.locate("tensor-parallel-size")),
            )


@check("memory.kv-cache", title="KV cache holds one sequence of maximum length")
def kv_cache(recipes: Recipes) -> Iterator[Finding]:
    """The KV cache gets the memory that the weights leave. vLLM does not start if that is too little for one
    sequence of --max-model-len; other engines reject or evict long requests.

    The size is an upper limit: what the engine itself uses is unknown before it runs.

    Fix: set --max-model-len (SGLang: --context-length, TensorRT-LLM: max_seq_len) to the longest request
    """
    for engine, room in _estimate_engines(recipes):
        short = room.sequences is not None and room.sequences < 1
        if room.fits and short and engine.budget is not None and not engine.budget.adapts:
            yield warn(
                f"{engine.instance.name}: the KV cache holds at most {room.tokens} tokens, a sequence of "
                f"{engine.name} up to {room.longest} ({_describe_gpu(engine)})",
                fix="limit the sequence length, store the cache in FP8, or split the model over more GPUs",
                evidence=_collect_evidence(engine, room),
                location=Location(*engine.instance.locate("max-model-len", "context-length", "max-seq-len")),
            )


def _estimate_engines(recipes: Recipes) -> Iterator[tuple[SizedEngine, MemoryEstimate]]:
    """Every engine whose memory can be estimated.

    :raises Skip: there is none.
    """
    engines = list(size_engines(recipes))
    estimates = [(engine, engine.room) for engine in engines if engine.room is not None]
    if not estimates:
        raise Skip(_explain_skip(engines[0]) if engines else "no engine that runs on GPUs")
    yield from estimates


def _explain_skip(engine: SizedEngine) -> str:
    instance = engine.instance
    if engine.model is None:
        config = find_model_config(engine.recipe, instance.graph, instance.model or "")
        if config is not None:
            problem = "cannot be read" if config.problems else "describes an unknown kind of model"
            return f"{config.file}, the configuration of {engine.name or instance.model}, {problem}"
    if engine.name is None:
        return f"the model of {instance.name} is unknown; add its config.json to the recipe's folder"
    if engine.model is None:
        return f"{engine.name} is not in the table of models; add its config.json to the recipe"
    if engine.memory is None:
        return f"the memory of {engine.product} is not in the table of GPUs"
    return f"the arguments of {instance.name} do not show how it loads {engine.name}"


def _describe_gpu(engine: SizedEngine) -> str:
    return engine.product or "the largest known GPU; the recipe names none"


def _format_gib(size: float | None) -> str:
    return f"{(size or 0) / GIB:.1f} GiB"


def _collect_evidence(engine: SizedEngine, room: MemoryEstimate) -> dict[str, object]:
    return {
        "weights_gib": round(room.weights / GIB, 1),
        "kv_bytes_per_token": room.token and round(room.token),
        "gpu_gib": round((engine.memory or 0) / GIB, 1),
        "source": engine.model.source if engine.model else "",
    }
