"""GPU memory of a model's weights and KV cache.

All numbers are lower bounds of use: padding, norms, the cache of draft models, activations and CUDA graphs
are not counted, and a GPU has its full nominal memory. A model that does not fit by these numbers does not
fit, and the token counts are upper limits.

Sources. KV cache: `2 x layers x KV heads x head size x bytes` a token, of which a GPU holds `heads / TP`
and at least one head: vLLM's AttentionSpec.page_size_bytes and ModelConfig.get_num_kv_heads. MLA caches one
vector of `kv_lora_rank + qk_rope_head_dim` a token and layer on every GPU: vLLM's MLAAttentionSpec. Experts
are divided over all tensor and data parallel ranks: vLLM's FusedMoEParallelConfig.make; with attention data
parallelism each rank holds the whole attention: SGLang's docs/basic_usage/deepseek, TensorRT-LLM's docs on
attention DP.
"""

import math
from dataclasses import dataclass

from dynocheck.data.models import BITS, Model

GIB = 2**30


@dataclass(frozen=True)
class Sharding:
    """The number of GPUs that each part of a model is divided over; a pipeline divides the layers.

    `attention` is less than `tensor` if attention is data parallel. `cache` divides the tokens of a sequence
    (decode context parallelism).
    """

    tensor: int = 1
    attention: int = 1
    experts: int = 1
    pipeline: int = 1
    cache: int = 1


@dataclass(frozen=True)
class MemoryBudget:
    """The shares of a GPU's memory that an engine may use.

    `static` is the share of weights and KV cache together, `free` the cache's share of what the weights
    leave. `cache` is the precision of the KV cache, None if unknown. `longest` is the longest sequence, None
    for the model's own; an engine that `adapts` lowers it to what fits. `quantization` is the flag's value.
    """

    sharding: Sharding
    static: float = 1.0
    free: float = 1.0
    cache: str | None = "auto"
    longest: int | None = None
    adapts: bool = False
    quantization: str | None = ""


@dataclass(frozen=True)
class MemoryEstimate:
    """The bytes on one GPU, and the tokens and full-length sequences that its KV cache holds.

    `token`, `tokens` and `sequences` are None if the precision of the cache is unknown; `tokens` too where it
    does not grow with a sequence.
    """

    weights: float
    limit: float
    token: float | None
    tokens: int | None
    longest: int
    sequences: float | None

    @property
    def fits(self) -> bool:
        """Whether the weights fit the memory that the engine may use."""
        return self.weights < self.limit


def compute_weight_bytes(model: Model, sharding: Sharding) -> float:
    """The least number of bytes of weights on one GPU."""
    if model.opaque:
        ranks = max(sharding.tensor, sharding.experts if model.experts else 1)
        return model.weight_bytes / ranks / sharding.pipeline
    kept = model.kv_heads / max(1, sharding.attention)
    repeated = max(1.0, 1 / kept) if not model.latent else 1.0  # a KV head is held whole
    shared = model.vocabulary_bytes + model.mlp_bytes
    attending = 0 if model.latent else model.layers - model.uncached
    keys = 2 * attending * model.hidden * model.head_size * model.kv_heads
    keys_bytes = keys * BITS[model.stored.attention] / 8
    attention = model.attention_bytes + keys_bytes * (repeated - 1)
    parts = shared / sharding.tensor + attention / sharding.attention + model.expert_bytes / sharding.experts
    return parts / sharding.pipeline


def find_cache_bits(model: Model, asked: str) -> float | None:
    """The bits per number in the KV cache for --kv-cache-dtype; None if that or the cache is unknown."""
    if not model.cache:
        return None
    kind = model.cache if asked == "auto" else asked
    if kind.startswith("fp8"):
        return BITS["fp8"]
    return {"bf16": 16.0, "bfloat16": 16.0, "float16": 16.0, "half": 16.0}.get(kind)


def compute_token_bytes(model: Model, sharding: Sharding, bits: float) -> float:
    """Bytes of KV cache that one more token of a long sequence takes on one GPU.

    Layers with a sliding window take no more by then, those of linear attention and Mamba keep a state of
    fixed size.
    """
    layers = (model.layers - model.windowed - model.uncached) / sharding.pipeline
    return layers * _compute_layer_bytes(model, sharding, bits, model.token) / sharding.cache


def compute_sequence_bytes(model: Model, sharding: Sharding, bits: float, length: int) -> float:
    """Bytes of KV cache of one sequence of this many tokens on one GPU."""
    windowed = model.windowed / sharding.pipeline * min(length, model.window)
    each = _compute_layer_bytes(model, sharding, bits, model.window_token or model.token)
    return length * compute_token_bytes(model, sharding, bits) + windowed * each


def estimate_memory(model: Model, budget: MemoryBudget, memory: float, draft: float = 0) -> MemoryEstimate:
    """The weights on a GPU and the room that they leave, an upper limit.

    :param memory: of the GPU, in bytes.
    :param draft: bytes of what drafts tokens, divided as dense layers are.
    """
    sharding = budget.sharding
    held = compute_weight_bytes(model, sharding) + draft / max(sharding.tensor, sharding.experts)
    limit = budget.static * memory
    bits = None if budget.cache is None else find_cache_bits(model, budget.cache)
    longest = budget.longest or model.context
    if bits is None:
        return MemoryEstimate(held, limit, None, None, longest, None)
    left = max(0.0, (limit - held) * budget.free)
    token = compute_token_bytes(model, budget.sharding, bits)
    sequence = compute_sequence_bytes(model, budget.sharding, bits, longest)
    tokens = math.floor(left / token) if token else None
    return MemoryEstimate(held, limit, token, tokens, longest, left / sequence if sequence else math.inf)


def _compute_layer_bytes(model: Model, sharding: Sharding, bits: float, token: int) -> float:
    """Bytes of a token in one layer on one GPU, which has at least one head.

    :param token: the numbers of all heads, 0 if they are a key and a value of each.
    """
    if model.latent:
        return (model.latent + model.rope) * bits / 8
    numbers = token or 2 * model.kv_heads * model.head_size
    return numbers / min(sharding.attention, model.kv_heads) * bits / 8
