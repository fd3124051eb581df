"""Checks that model weights and KV cache fit the GPUs that a recipe requests."""

from collections.abc import Callable, Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, warn
from dynocheck.checks.memory._coverage import describe_unsized, offer_cluster
from dynocheck.core.fixes import set_argument
from dynocheck.engines.memory import GIB, MemoryEstimate
from dynocheck.engines.memory_budget import SizedEngine, size_engines
from dynocheck.engines.model_lookup import add_hub_configs
from dynocheck.facts import Autoscalers, HubModels, Nodes, Recipes, ResourceSlices, list_gpu_nodes

_NEEDS = "a nodeSelector on nvidia.com/gpu.product"


@check("memory.weights-fit", title="Model weights fit the requested GPUs")
def weights_fit(
    recipes: Recipes,
    nodes: Nodes | None = None,
    autoscalers: Autoscalers | None = None,
    models: HubModels | None = None,
    slices: ResourceSlices | None = None,
) -> Iterator[Result]:
    """An engine whose weights do not fit exits with "CUDA out of memory", after the download.

    The size of the weights on a GPU follows from the model's configuration, its parallel sizes and its stored
    precision. The GPU is one of those that the pods may get: by the cluster's nodes if there is a cluster
    without an autoscaler, else by the product or memory that a nodeSelector or required affinity demands. If
    nothing tells it, weights that fit no known GPU fail, those that fit every one pass, and others are not
    judged. Activations and CUDA graphs are not counted: a pass is no guarantee.

    A model that is not in the table is read from its `config.json`, with `model.safetensors.index.json`
    beside it, if the recipe contains them in a folder of the model's name, or in a folder whose graphs load
    only this model. Weights that the engine quantizes or offloads while loading are not judged. A draft model
    counts; one that nothing describes is taken to need at most as much room as the model itself.

    Fix: raise the tensor parallel size and nvidia.com/gpu, or use a checkpoint in a smaller precision
    """
    for engine in _list_engines(recipes, nodes, autoscalers, models, slices):
        room, least = engine.room, engine.least_room
        if room is None or least is None:
            yield describe_unsized(engine)
        elif room.fits and not least.fits and not engine.gpu.products:
            yield describe_unsized(
                engine,
                "the recipe names no GPU, and not every one is large enough",
                offer_cluster(_NEEDS, nodes),
            )
        elif not engine.draft_sized and least.fits and least.limit < 2 * least.weights:
            yield describe_unsized(
                engine, f"the size of {engine.draft or 'its draft model'}, which drafts for it, is unknown"
            )
        else:
            yield judged(1, "engines")
            if not room.fits:
                yield _report_weights(engine, room, engine.gpu.most, fail)
            elif not least.fits:
                yield _report_weights(engine, least, engine.gpu.least, warn)


def _report_weights(
    engine: SizedEngine, room: MemoryEstimate, memory: float | None, report: Callable[..., Finding]
) -> Finding:
    memory = memory or 0
    limit = "" if room.limit >= memory else f", {_format_gib(room.limit)} of it usable"
    subject = "each GPU, which has" if report is fail else "each GPU, and the smallest that it may get has"
    names = f"{engine.name} with {engine.draft}" if engine.draft and engine.draft_sized else engine.name
    return report(
        f"{engine.instance.name}: the weights of {names} take at least "
        f"{_format_gib(room.weights)} on {subject} {_format_gib(memory)}{limit} ({_describe_gpu(engine)})",
        fix="split the model over more GPUs, or use a checkpoint in a smaller precision",
        evidence=_collect_evidence(engine, room, memory),
        location=Location(*engine.instance.locate("tensor-parallel-size")),
    )


@check("memory.kv-cache", title="KV cache holds one sequence of maximum length")
def kv_cache(
    recipes: Recipes,
    nodes: Nodes | None = None,
    autoscalers: Autoscalers | None = None,
    models: HubModels | None = None,
    slices: ResourceSlices | None = None,
) -> Iterator[Result]:
    """The KV cache gets the memory that the weights leave. vLLM does not start if that is too little for one
    sequence of --max-model-len; other engines reject or evict long requests.

    The size is an upper limit: what the engine itself uses is unknown before it runs. The GPU is found as for
    memory.weights-fit; a cache beside weights that do not fit is not judged.

    Fix: set --max-model-len (SGLang: --context-length, TensorRT-LLM: max_seq_len) to the longest request
    """
    for engine in _list_engines(recipes, nodes, autoscalers, models, slices):
        room, least = engine.room, engine.least_room
        if room is None or least is None or engine.budget is None:
            yield describe_unsized(engine)
        elif not room.fits:
            yield describe_unsized(engine, "its weights do not fit")
        elif engine.model is not None and not engine.model.cache:
            yield describe_unsized(engine, "what its KV cache takes of a token is unknown")
        elif room.sequences is None or least.sequences is None:
            yield describe_unsized(engine, "the precision of its KV cache is unknown", "--kv-cache-dtype")
        elif engine.budget.adapts or (least.fits and least.sequences >= 1):
            yield judged(1, "engines")
        elif room.sequences < 1 or (engine.gpu.products and least.fits):
            short = (room, engine.gpu.most) if room.sequences < 1 else (least, engine.gpu.least)
            yield judged(1, "engines")
            yield _report_cache(engine, *short)
        elif engine.gpu.products:
            yield describe_unsized(engine, "its weights do not fit each GPU that it may get")
        else:
            yield describe_unsized(
                engine,
                "the recipe names no GPU, and not every one is large enough",
                offer_cluster(_NEEDS, nodes),
            )


def _suggest_length(engine: SizedEngine, room: MemoryEstimate) -> str:
    other = "or store the cache in FP8, or split the model over more GPUs"
    longest = engine.instance.given.get("max-model-len", "context-length", "max-seq-len")
    if longest is None or not longest.spelled or room.tokens is None or room.tokens < 1:
        return f"limit the sequence length, {other}"
    return set_argument(longest.spelled, room.tokens, other)


def _report_cache(engine: SizedEngine, room: MemoryEstimate, memory: float | None) -> Finding:
    return warn(
        f"{engine.instance.name}: the KV cache holds at most {room.tokens} tokens, a sequence of "
        f"{engine.name} up to {room.longest} ({_describe_gpu(engine)})",
        fix=_suggest_length(engine, room),
        evidence=_collect_evidence(engine, room, memory or 0),
        location=Location(*engine.instance.locate("max-model-len", "context-length", "max-seq-len")),
    )


def _list_engines(
    recipes: Recipes,
    nodes: Nodes | None,
    autoscalers: Autoscalers | None,
    models: HubModels | None,
    slices: ResourceSlices | None,
) -> list[SizedEngine]:
    """Every engine that runs on GPUs, on the nodes that are there unless an autoscaler adds others.

    :raises Skip: there is none.
    """
    fixed = autoscalers is None or not (autoscalers or autoscalers.unseen)
    here = list_gpu_nodes(nodes, slices) if nodes is not None and fixed else []
    engines = list(size_engines(add_hub_configs(recipes, models), here))
    if not engines:
        raise Skip("no engine that runs on GPUs")
    return engines


def _describe_gpu(engine: SizedEngine) -> str:
    return engine.product or "the largest known GPU; the recipe names none"


def _format_gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"


def _collect_evidence(engine: SizedEngine, room: MemoryEstimate, memory: float) -> dict[str, object]:
    return {
        "weights_gib": round(room.weights / GIB, 1),
        "kv_bytes_per_token": room.token and round(room.token),
        "gpu_gib": round(memory / GIB, 1),
        "source": engine.model.source if engine.model else "",
    }
