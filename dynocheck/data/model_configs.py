"""Parses a model's `config.json` of the Hugging Face hub.

The weights of each kind of layer are those of vLLM 0.33: `model_executor/models` qwen3_next.py (attention
with a gate) and nemotron_h.py, `model_executor/layers/mamba` mamba_mixer2.py and gdn/qwen_gdn_linear_attn.py,
`models/kimi_k3` kda.py, `models/deepseek_v4` attention.py. What is small or not always loaded, as a vision
tower, an indexer or a gate, is left out: sizes are lower bounds.
"""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from dynocheck.data.models import Model

_MIN_CHECKPOINT_SHARE = 0.9  # of what a configuration says: a checkpoint that is smaller is stored in less
_QUANTIZED = re.compile(
    r"(?<![a-z])(awq|gptq|gguf|fp8|(nv|mx)?fp4|int[48]|w\d+a\d+|[48]-?bits?)(?![a-z])", re.I
)
_MAX_GLOBS, _MAX_GLOB = 1000, 200  # each is compiled
_LAYER = re.compile(r"layers\.\d+\.")
# Names of modules by the kind of their weights: a pattern that covers one of them covers its kind.
_MODULES = {
    "attention": ("self_attn.o_proj", "attn.o_proj", "mixer.o_proj"),
    "mlp": ("mlp.shared_experts.down_proj", "mlp.shared_expert.down_proj", "ffn.shared_experts.w2"),
    "experts": ("mlp.experts.0.down_proj", "mixer.experts.0.down_proj", "ffn.experts.0.w2", "mlp.experts"),
    "uncached": ("linear_attn.out_proj", "mixer.out_proj"),
}
_KINDS = {
    "experts": re.compile(r"\bexperts\b"),
    "mlp": re.compile(r"\bshared_experts?\b|\bmlp\b"),
    "uncached": re.compile(r"\blinear_attn\b|\bmixer\.(in|out)_proj"),
    "attention": re.compile(r"\b(self_)?attn\b|\bmixer\.[qkvo]_proj"),
}


def parse_model_config(
    config: Mapping[str, Any], name: str, source: str, checkpoint: int | None = None
) -> Model | None:
    """What a `config.json` describes, or None when it is not of a kind known here.

    :param name: the model's hub id.
    :param checkpoint: bytes of its weight files. A model of another architecture, or quantized in a way not
        known here, can only be judged by them.
    """
    try:
        text = _find_text_config(config)
        kind = (text.get("architectures") or [None])[0]
        parse = _ARCHITECTURES.get(kind, _parse_unknown) if checkpoint else _ARCHITECTURES[kind]
        named = {"names": [name], "source": source}
        found = msgspec.convert(_parse_precisions(text) | parse(text) | named, Model)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        return None
    if checkpoint and checkpoint < _MIN_CHECKPOINT_SHARE * found.disk_bytes and not found.opaque:
        cache = "unknown" if found.cache else ""  # and its config does not say so
        found = msgspec.structs.replace(found, opaque=True, cache=cache)
    if found.opaque and not checkpoint:
        return None
    if not checkpoint and not text.get("quantization_config") and _QUANTIZED.search(name):
        return None  # its name says more than its configuration
    return msgspec.structs.replace(found, checkpoint=checkpoint or 0)


def _find_text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of the language model, with what a multimodal one says beside it."""
    inner = config.get("text_config") or config.get("llm_config")
    if not isinstance(inner, dict):
        return config
    beside = ("torch_dtype", "dtype", "quantization_config", "tie_word_embeddings")
    kept = {key: config[key] for key in beside if config.get(key) is not None}
    return {"architectures": config.get("architectures"), **kept, **_drop_nulls(inner)}


def _drop_nulls(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if value is not None}


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


def _parse_unknown(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of another architecture: its heads and experts, but neither how its weights nor its cache lie."""
    experts = (config.get(key) for key in ("num_experts", "n_routed_experts", "num_local_experts"))
    drafting = config.get("num_nextn_predict_layers") or config.get("mtp_num_hidden_layers") or 0
    return _parse_dense({"intermediate_size": 0, **config}) | {
        "experts": next(filter(None, experts), 0),
        "latent": config.get("kv_lora_rank") or 0,
        "drafting": drafting,
        "state_heads": _list_state_heads(config),
        "opaque": True,
        "cache": "",
    }


def _list_state_heads(config: Mapping[str, Any]) -> list[int]:
    """The heads and groups of Mamba 2 by its usual keys; a single group is repeated."""
    heads = config.get("mamba_num_heads") or config.get("mamba_n_heads")
    groups = config.get("mamba_n_groups") or config.get("n_groups") or 1
    return [heads, *([groups] if groups > 1 else [])] if heads else []


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
    return _parse_qwen({"intermediate_size": 0, **config}) | {
        "experts": config["num_experts"],
        "expert_intermediate": config["moe_intermediate_size"],
    }


def _parse_qwen_hybrid(config: Mapping[str, Any]) -> dict[str, Any]:
    """Three of four layers have a GatedDeltaNet, the others attention with a gate as large as the queries."""
    linear = config["layer_types"].count("linear_attention")
    if linear + config["layer_types"].count("full_attention") != config["num_hidden_layers"]:
        raise KeyError("layers of a third kind")
    found = _parse_qwen_moe(config) if "num_experts" in config else _parse_qwen(config)
    hidden, heads, size = found["hidden"], found["heads"], found["head_size"]
    keys = config["linear_num_key_heads"] * config["linear_key_head_dim"]
    values = config["linear_num_value_heads"] * config["linear_value_head_dim"]
    if shared := config.get("shared_expert_intermediate_size"):
        found["shared"] = shared // found["expert_intermediate"]
    return found | {
        "attention_weights": hidden * size * (3 * heads + 2 * found["kv_heads"]) if _has_gate(config) else 0,
        "uncached": linear,
        "uncached_weights": linear * hidden * (2 * keys + 3 * values),
        "state_heads": [config["linear_num_key_heads"], config["linear_num_value_heads"]],
        "drafting": config.get("mtp_num_hidden_layers") or 0,
    }


def _has_gate(config: Mapping[str, Any]) -> bool:
    return bool(config.get("attn_output_gate", True))


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


def _parse_deepseek_v4(config: Mapping[str, Any]) -> dict[str, Any]:
    """One key that is also the value, compressed in most layers: what a token takes is not known here."""
    found = _parse_dense({"intermediate_size": 0, **config})
    hidden, wide = found["hidden"], found["heads"] * found["head_size"]
    queries, outputs = config["q_lora_rank"], config["o_lora_rank"]
    projections = hidden * (queries + found["head_size"] + config["o_groups"] * outputs)
    return found | {
        "attention_weights": projections + wide * (queries + outputs),
        "experts": config["n_routed_experts"],
        "expert_intermediate": config["moe_intermediate_size"],
        "shared": config["n_shared_experts"],
        "drafting": config.get("num_nextn_predict_layers") or 0,
        "latent": found["head_size"] - config["qk_rope_head_dim"],
        "rope": config["qk_rope_head_dim"],
        "cache": "",
    }


def _parse_kimi_linear(config: Mapping[str, Any]) -> dict[str, Any]:
    linear = config["linear_attn_config"]
    layers, wide = len(linear["kda_layers"]), linear["num_heads"] * linear["head_dim"]
    named = {"n_routed_experts": config["num_experts"], "n_shared_experts": config["num_shared_experts"]}
    return _parse_deepseek({**config, **named}) | {
        "uncached": layers,
        "uncached_weights": layers * config["hidden_size"] * 4 * wide,
        "state_heads": [linear["num_heads"]],
        "expert_hidden": config.get("routed_expert_hidden_size") or 0,
    }


def _parse_nemotron_h(config: Mapping[str, Any]) -> dict[str, Any]:
    """Each layer is one of Mamba, attention and experts; the latter have no gate."""
    letters = {"M": "mamba", "E": "moe", "*": "attention"}
    kinds = config.get("layers_block_type") or [letters[c] for c in config["hybrid_override_pattern"]]
    mamba, moe = kinds.count("mamba"), kinds.count("moe")
    attention = kinds.count("attention")
    if mamba + moe + attention != len(kinds) or config["mlp_hidden_act"] != "relu2":
        raise KeyError("layers of another kind")
    hidden, inner = config["hidden_size"], config["mamba_num_heads"] * config["mamba_head_dim"]
    state = 2 * config["n_groups"] * config["ssm_state_size"]
    latent = config.get("moe_latent_size") or 0
    shared = config["moe_shared_expert_intermediate_size"] // config["moe_intermediate_size"]
    return _parse_dense({**config, "num_hidden_layers": len(kinds)}) | {
        "intermediate": 0,
        "dense": len(kinds) - moe,
        "experts": config["n_routed_experts"] if moe else 0,
        "expert_intermediate": config["moe_intermediate_size"],
        "expert_hidden": latent,
        "matrices": 2,
        "shared": shared * config["n_shared_experts"],
        "uncached": mamba + moe,
        "state_heads": _list_state_heads(config),
        "uncached_weights": mamba * hidden * (3 * inner + state + config["mamba_num_heads"])
        + moe * 2 * hidden * latent,
        "drafting": config.get("num_nextn_predict_layers") or 0,
    }


_ARCHITECTURES = {
    "LlamaForCausalLM": _parse_dense,
    "MistralForCausalLM": _parse_mistral,
    "Qwen2ForCausalLM": _parse_qwen,
    "Qwen3ForCausalLM": _parse_qwen,
    "Qwen3VLForConditionalGeneration": _parse_qwen,
    "MixtralForCausalLM": _parse_mixtral,
    "Qwen3MoeForCausalLM": _parse_qwen_moe,
    "Qwen3VLMoeForConditionalGeneration": _parse_qwen_moe,
    "Qwen3_5ForConditionalGeneration": _parse_qwen_hybrid,
    "Qwen3_5MoeForConditionalGeneration": _parse_qwen_hybrid,
    "Qwen3_5MoeForCausalLM": _parse_qwen_hybrid,
    "GptOssForCausalLM": _parse_gpt_oss,
    "DeepseekV3ForCausalLM": _parse_deepseek,
    "DeepseekV32ForCausalLM": _parse_deepseek,
    "DeepseekV4ForCausalLM": _parse_deepseek_v4,
    "GlmMoeDsaForCausalLM": _parse_deepseek,
    "KimiLinearForCausalLM": _parse_kimi_linear,
    "NemotronHForCausalLM": _parse_nemotron_h,
}


def _parse_precisions(config: Mapping[str, Any]) -> dict[str, Any]:
    """The precisions of its weights and its cache.

    :raises ValueError: it does not say them, or it is not loaded as it is stored.
    """
    quantized = config.get("quantization_config")
    loaded = config.get("torch_dtype", config.get("dtype"))
    if loaded not in ("bfloat16", "float16") and (loaded is not None or not quantized):
        raise ValueError("neither BF16 nor FP16")
    if not quantized:
        return {}
    cache = "bf16"
    if _has_key(quantized, "kv_cache"):
        cache = "fp8" if _is_fp8_cache(quantized) else "unknown"
    stored = _parse_stored(config, quantized)
    if stored is None:
        return {"opaque": True, "cache": cache}
    block = (quantized.get("weight_block_size") or [0])[0] if quantized.get("quant_method") == "fp8" else 0
    return {"stored": stored, "block": block, "cache": cache}


def _parse_stored(config: Mapping[str, Any], quantized: Mapping[str, Any]) -> dict[str, str] | None:
    """The precision of each kind of weight; None if its quantization is not known here."""
    if quantized.get("quant_method") == "mxfp4":
        return {"experts": "mxfp4"}
    layers = quantized.get("quantized_layers")
    if isinstance(layers, dict):
        stored = _parse_layers(layers)
        kept = "fp8" if quantized.get("quant_method") == "fp8" else "bf16"
        return dict.fromkeys(_KINDS, kept) | stored if stored is not None else None
    precision = _find_precision(quantized)
    if precision is None:
        return None
    ignored = quantized.get("ignore") or quantized.get("exclude_modules")
    globs = _collect_ignored([*(ignored or ()), *(quantized.get("modules_to_not_convert") or ())])
    stored = {kind: "bf16" if _is_ignored(kind, globs) else precision for kind in _KINDS}
    if config.get("expert_dtype") == "fp4":
        stored["experts"] = "mxfp4"
    return stored


def _find_precision(quantized: Mapping[str, Any]) -> str | None:
    """What a quantization stores all weights in that it does not leave out."""
    named = {"FP8": "fp8", "NVFP4": "nvfp4", "W4A16_NVFP4": "nvfp4"}
    if quantized.get("quant_method") == "fp8":
        return "fp8"
    if "quant_algo" in quantized:
        return named.get(quantized["quant_algo"])
    groups = quantized.get("config_groups")
    if quantized.get("quant_method") != "compressed-tensors" or not groups or len(groups) > 1:
        return None
    (weights,) = (group["weights"] for group in groups.values())
    found = {
        ("float", 8, None): "fp8",
        ("float", 4, 16): "nvfp4",
        ("float", 4, 32): "mxfp4",
        ("int", 4, None): "int4",
        ("int", 4, 32): "int4-g32",
        ("int", 4, 128): "int4-g128",
    }
    return found.get((weights["type"], weights["num_bits"], weights.get("group_size")))


def _parse_layers(layers: Mapping[str, Any]) -> dict[str, str] | None:
    """The precisions of the kinds of modules that a mixed quantization names, each by its first."""
    stored: dict[str, str] = {}
    for module, how in layers.items():
        kind = next((kind for kind, words in _KINDS.items() if words.search(module)), None)
        if kind is not None and kind not in stored:
            precision = _find_precision(how)
            if precision is None:
                return None
            stored[kind] = precision
    return stored


def _collect_ignored(patterns: Iterable[str]) -> set[str]:
    """Patterns of modules that stay as they were, as globs without the number of a layer.

    :raises ValueError: there are more, or longer ones, than any model has.
    """
    globs = set()
    for pattern in patterns:
        glob = pattern.removeprefix("re:").replace(".*", "*").replace("\\", "")
        layer = _LAYER.search(glob)
        globs.add("*" + (glob[layer.end() :] if layer else glob))
    if len(globs) > _MAX_GLOBS or any(len(glob) > _MAX_GLOB for glob in globs):
        raise ValueError("too many modules")
    return {glob for glob in globs if glob.strip("*.")}


def _is_ignored(kind: str, globs: Iterable[str]) -> bool:
    """Whether patterns leave the weights of a kind as they were, in more than a single layer."""
    return any(fnmatchcase(f"model.layers.9.{name}", glob) for glob in globs for name in _MODULES[kind])


def _is_fp8_cache(quantized: Mapping[str, Any]) -> bool:
    scheme = quantized.get("kv_cache_quant_algo") or quantized.get("kv_cache_scheme")
    if isinstance(scheme, dict):
        return scheme.get("num_bits") == 8 and scheme.get("type") == "float"
    return scheme == "FP8"


def _has_key(quantized: Mapping[str, Any], word: str) -> bool:
    """Whether a quantization has something of this name in it, here or a level below."""
    levels = [quantized, *(below for below in quantized.values() if isinstance(below, dict))]
    return any(word in key and value for level in levels for key, value in level.items())
