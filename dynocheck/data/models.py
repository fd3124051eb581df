"""What models are made of, as far as their weights and their KV cache go."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import msgspec

from dynocheck.data import read_table

# Bits a weight takes, with the scales that belong to it: one of 8 bits for 32 weights in MXFP4, for 16 in
# NVFP4.
BITS = {"bf16": 16.0, "fp8": 8.0, "mxfp4": 4.25, "nvfp4": 4.5}
_MIN_CHECKPOINT_SHARE = 0.9  # of what a configuration says: a checkpoint that is smaller is stored in less
_QUANTIZED = re.compile(
    r"(?<![a-z])(awq|gptq|gguf|fp8|(nv|mx)?fp4|int[48]|w\d+a\d+|[48]-?bits?)(?![a-z])", re.I
)

Size = Annotated[int, msgspec.Meta(ge=0, le=2**50)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**50)]


class WeightPrecisions(msgspec.Struct, frozen=True):
    """In what each kind of weight is stored. Embeddings and routers are BF16 in every model here."""

    attention: str = "bf16"
    mlp: str = "bf16"
    experts: str = "bf16"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder as its `config.json` describes it.

    With `latent` its attention is MLA: what is cached of a token is one vector of `latent + rope` numbers.
    The first `dense` layers have an MLP of `intermediate`, the others have `experts` of
    `expert_intermediate` each, with `shared` ones beside them. `drafting` layers predict further tokens:
    they lie on disk, and an engine loads them only for speculation. Of the `layers`, `windowed` ones attend
    to the last `window` tokens. `cache` is the precision of the KV cache that the checkpoint itself asks
    for.

    `checkpoint` are the bytes of its weight files, 0 where nobody says them. An `opaque` model is stored in
    a precision not known here: of its weights nothing but that is known.
    """

    names: tuple[str, ...]
    layers: Count
    hidden: Count
    heads: Count
    kv_heads: Count
    head_size: Count
    vocabulary: Count
    context: Count
    intermediate: Size
    tied: bool = False
    dense: Size = 0
    experts: Size = 0
    expert_intermediate: Size = 0
    shared: Size = 0
    drafting: Size = 0
    latent: Size = 0
    query_latent: Size = 0
    rope: Size = 0
    value_size: Size = 0
    window: Size = 0
    windowed: Size = 0
    stored: WeightPrecisions = WeightPrecisions()
    block: Size = 0
    cache: str = "bf16"
    checkpoint: Size = 0
    opaque: bool = False
    source: str

    @property
    def attention_layer(self) -> int:
        """Weights of one layer's attention."""
        if not self.latent:
            return 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)
        query, key = self.query_latent, self.head_size
        return (
            self.hidden * (query + self.latent + self.rope)
            + query * self.heads * (key + self.rope)
            + self.latent * self.heads * (key + self.value_size)
            + self.heads * self.value_size * self.hidden
        )

    @property
    def vocabulary_bytes(self) -> float:
        """Bytes of the embedding, and of the output layer where that is another one."""
        return self.vocabulary * self.hidden * 2 * (1 if self.tied else 2)

    @property
    def attention_bytes(self) -> float:
        return self.layers * self.attention_layer * BITS[self.stored.attention] / 8

    @property
    def mlp_bytes(self) -> float:
        """Bytes of the dense layers' MLPs, of the shared experts and of the routers."""
        sparse = self.layers - self.dense if self.experts else 0
        dense = self.layers - sparse
        wide = dense * self.intermediate + sparse * self.shared * self.expert_intermediate
        routers = sparse * self.hidden * self.experts * 2
        return 3 * self.hidden * wide * BITS[self.stored.mlp] / 8 + routers

    @property
    def expert_bytes(self) -> float:
        return (self.layers - self.dense) * self._experts_layer

    @property
    def weight_bytes(self) -> float:
        """Bytes that an engine loads, but for norms and biases: less than a thousandth of them."""
        if self.opaque:
            return float(self.checkpoint)
        return self.vocabulary_bytes + self.attention_bytes + self.mlp_bytes + self.expert_bytes

    @property
    def disk_bytes(self) -> float:
        """Bytes of the checkpoint: with the drafting layers, which bring a vocabulary of their own."""
        if self.checkpoint:
            return float(self.checkpoint)
        each = (
            self.attention_layer * BITS[self.stored.attention] / 8
            + self._experts_layer
            + 2 * self.hidden * self.hidden * 2
            + self.vocabulary_bytes
        )
        return self.weight_bytes + self.drafting * each

    @property
    def _experts_layer(self) -> float:
        return 3 * self.hidden * self.expert_intermediate * self.experts * BITS[self.stored.experts] / 8


def find_model(name: str) -> Model | None:
    """The row of a model by its hub id in any case, or None when the table does not have it."""
    return _models().get(name.lower())


def parse_model_config(
    config: Mapping[str, Any], name: str, source: str, checkpoint: int | None = None
) -> Model | None:
    """What a `config.json` of the Hugging Face hub describes, or None when it is not of a kind known here.

    :param name: the model's hub id.
    :param checkpoint: bytes of its weight files. One that is quantized in a way not known here can only be
        judged by them.
    """
    try:
        kind = (config.get("architectures") or [None])[0]
        named = {"names": [name], "source": source}
        found = msgspec.convert(_ARCHITECTURES[kind](config) | _parse_precisions(config) | named, Model)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        return None
    if checkpoint and checkpoint < _MIN_CHECKPOINT_SHARE * found.disk_bytes and not found.opaque:
        found = msgspec.structs.replace(found, opaque=True, cache="unknown")  # and its config does not say so
    if found.opaque and (not checkpoint or found.drafting):
        return None
    if not checkpoint and not config.get("quantization_config") and _QUANTIZED.search(name):
        return None  # its name says more than its configuration
    return msgspec.structs.replace(found, checkpoint=checkpoint or 0)


def _parse_dense(config: Mapping[str, Any]) -> dict[str, Any]:
    heads = config["num_attention_heads"]
    return {
        "layers": config["num_hidden_layers"],
        "hidden": config["hidden_size"],
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "head_size": config.get("head_dim") or config["hidden_size"] // heads,
        "vocabulary": config["vocab_size"],
        "context": config["max_position_embeddings"],
        "intermediate": config["intermediate_size"],
        "tied": bool(config.get("tie_word_embeddings", False)),
    }


def _parse_qwen(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("use_sliding_window"):
        raise KeyError("layers of two kinds")
    return _parse_dense(config)


def _parse_mistral(config: Mapping[str, Any]) -> dict[str, Any]:
    if config["sliding_window"] is not None:
        raise KeyError("a window in every layer")
    return _parse_dense(config)


def _parse_mixtral(config: Mapping[str, Any]) -> dict[str, Any]:
    return _parse_dense(config) | {
        "experts": config["num_local_experts"],
        "expert_intermediate": config["intermediate_size"],
    }


def _parse_qwen_moe(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("decoder_sparse_step", 1) != 1 or config.get("mlp_only_layers"):
        raise KeyError("layers of two kinds")
    return _parse_qwen(config) | {
        "experts": config["num_experts"],
        "expert_intermediate": config["moe_intermediate_size"],
    }


def _parse_gpt_oss(config: Mapping[str, Any]) -> dict[str, Any]:
    return _parse_mixtral(config) | {
        "window": config["sliding_window"],
        "windowed": config["layer_types"].count("sliding_attention"),
    }


def _parse_deepseek(config: Mapping[str, Any]) -> dict[str, Any]:
    return _parse_dense(config) | {
        "head_size": config["qk_nope_head_dim"],
        "dense": config["first_k_dense_replace"],
        "experts": config["n_routed_experts"],
        "expert_intermediate": config["moe_intermediate_size"],
        "shared": config["n_shared_experts"],
        "drafting": config.get("num_nextn_predict_layers") or 0,
        "latent": config["kv_lora_rank"],
        "query_latent": config["q_lora_rank"],
        "rope": config["qk_rope_head_dim"],
        "value_size": config["v_head_dim"],
    }


_ARCHITECTURES = {
    "LlamaForCausalLM": _parse_dense,
    "MistralForCausalLM": _parse_mistral,
    "Qwen2ForCausalLM": _parse_qwen,
    "Qwen3ForCausalLM": _parse_qwen,
    "MixtralForCausalLM": _parse_mixtral,
    "Qwen3MoeForCausalLM": _parse_qwen_moe,
    "GptOssForCausalLM": _parse_gpt_oss,
    "DeepseekV3ForCausalLM": _parse_deepseek,
}


def _parse_precisions(config: Mapping[str, Any]) -> dict[str, Any]:
    """The precisions of its weights.

    :raises ValueError: it does not say them, or it is not loaded as it is stored.
    """
    quantized = config.get("quantization_config")
    loaded = config.get("torch_dtype", config.get("dtype"))
    if loaded not in ("bfloat16", "float16") and (loaded is not None or not quantized):
        raise ValueError("neither BF16 nor FP16")
    if not quantized:
        return {}
    if quantized.get("quant_method") == "mxfp4":
        return {"stored": {"experts": "mxfp4"}}
    if quantized.get("quant_method") == "fp8":
        block = quantized.get("weight_block_size") or [0]
        return {"stored": dict.fromkeys(("attention", "mlp", "experts"), "fp8"), "block": block[0]}
    return {"opaque": True, "cache": "unknown" if _has_key(quantized, "kv_cache") else "bf16"}


def _has_key(quantized: Mapping[str, Any], word: str) -> bool:
    """Whether a quantization has something of this name in it, here or a level below."""
    levels = [quantized, *(below for below in quantized.values() if isinstance(below, dict))]
    return any(word in key and value for level in levels for key, value in level.items())


@cache
def _models() -> dict[str, Model]:
    rows = msgspec.json.decode(read_table("models.json"), type=list[Model])
    return {name.lower(): row for row in rows for name in row.names}
