"""What a `config.json` of each family of decoders says of its layers.

The weights and what is cached of a token follow vLLM 0.33, `model_executor/models`, and the classes of
transformers 5.24, which also have the values that a configuration leaves out. What is small or not always
loaded, as a vision tower, an indexer or a router's bias, is left out: sizes are lower bounds.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

_Config = Mapping[str, Any]
_HEADLESS = re.compile(r"(Model|ForSequenceClassification|ForTokenClassification|RewardModel)$")
_SUFFIX = re.compile(
    r"(For(CausalLM|ConditionalGeneration|(Sequence|Token)Classification|(Process)?RewardModel)|(LMHead)?Model)$"
)
# The names that vLLM's ModelArchConfigConvertorBase and older classes of transformers also know.
_ALIASES = {
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "hidden_size": ("n_embd", "n_embed", "d_model"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": ("n_head_kv", "num_kv_heads", "multi_query_group_num", "num_attention_groups"),
    "head_dim": ("kv_channels",),
    "intermediate_size": ("ffn_dim", "n_inner", "ffn_hidden_size"),
    "vocab_size": ("padded_vocab_size",),
    "max_position_embeddings": ("n_positions", "max_seq_len", "seq_length", "model_max_length"),
    "num_experts": ("moe_num_experts", "n_routed_experts", "num_local_experts"),
    "n_shared_experts": ("num_shared_experts", "moe_num_shared_experts", "num_shared_expert"),
    "shared_expert_intermediate_size": ("shared_intermediate_size",),
    "num_nextn_predict_layers": ("mtp_num_hidden_layers",),
}
_MAX_LAYERS = 10_000  # each is counted
_LOCAL = ("sliding_attention", "chunked_attention")


def find_parser(config: _Config, *, inner: bool) -> Callable[[], dict[str, Any]] | None:
    """What reads a language model's configuration; None if its family is not known here.

    The family is that of its architecture. A configuration `inner` to a multimodal one, whose architecture is
    that of the whole, may also say it by its model_type, and leaves out what its class has anyway.
    """
    architecture = str((config.get("architectures") or [""])[0])
    name = _squash(_SUFFIX.sub("", architecture))
    tied: dict[str, Any] = {}
    if inner and architecture and name not in _FAMILIES:
        name = _squash(str(config.get("model_type")).removesuffix("_text"))
        tied = _TIED  # by default, as the whole is
    if name not in _FAMILIES:
        return None
    parse, defaults = _FAMILIES[name]
    sizes = _CLASSES.get(name, {}) if inner else {}
    headless = _TIED if _HEADLESS.search(architecture) else {}
    return lambda: parse(_rename({**sizes, **defaults, **tied, **config, **headless}))


def _squash(name: str) -> str:
    return re.sub("[_.-]", "", name).lower()


def parse_unknown(config: _Config) -> dict[str, Any]:
    """Of another architecture: its heads and experts, but neither how its weights nor its cache lie."""
    config = _rename({"intermediate_size": 0, "max_position_embeddings": 2048, **_rename(config)})
    return _parse_dense(config) | {
        "experts": _count_experts(config),
        "latent": config.get("kv_lora_rank") or 0,
        "drafting": config.get("num_nextn_predict_layers") or 0,
        "state_heads": _list_state_heads(config),
        "opaque": True,
        "cache": "",
    }


def _rename(config: _Config) -> dict[str, Any]:
    """A configuration with the usual name of each key.

    :raises ValueError: it has more layers than any model.
    """
    renamed = {key: value for key, value in config.items() if value is not None}
    for name, others in _ALIASES.items():
        found = [renamed[other] for other in others if other in renamed]
        if found and name not in renamed:
            renamed[name] = found[0]
    if renamed.get("num_hidden_layers", 0) > _MAX_LAYERS:
        raise ValueError("too many layers")
    return renamed


def _parse_dense(config: _Config) -> dict[str, Any]:
    heads = config["num_attention_heads"]
    return {
        "layers": config["num_hidden_layers"],
        "hidden": config["hidden_size"],
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads", heads),
        "head_size": config.get("head_dim") or config["hidden_size"] // heads,
        "vocabulary": config["vocab_size"],
        "context": _derive_context(config),
        "intermediate": config["intermediate_size"],
        "tied": bool(config.get("tie_word_embeddings", False)),
        "matrices": config.get("matrices", 3),
    }


def _derive_context(config: _Config) -> Any:
    """The tokens of a sequence if no flag limits them: vLLM's ModelConfig._get_and_verify_max_len."""
    positions = config["max_position_embeddings"]
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind == "longrope" or (kind == "su" and "long_factor" in scaling):
        return config.get("original_max_position_embeddings") or positions
    stretched = kind in ("linear", "dynamic") and not str(config.get("model_type")).startswith("gemma3")
    return int(positions * (scaling.get("factor") or 1)) if stretched else positions


def _count_experts(config: _Config) -> Any:
    return _get_first(config.get("num_experts"))


def _get_first(number: Any) -> Any:
    """A number that some configurations repeat for each layer; 0 if there is none."""
    return (number[0] if isinstance(number, list) and number else number) or 0


def _parse_decoder(config: _Config) -> dict[str, Any]:
    """A decoder whose layers differ only in having experts or an MLP, and a window or none."""
    found = _parse_dense(config) | {"drafting": _count_drafting(config)}
    if not config.get("kv_lora_rank"):
        found |= _parse_windows(config)
    else:
        found |= {
            "head_size": config["qk_nope_head_dim"],
            "latent": config["kv_lora_rank"],
            "query_latent": config.get("q_lora_rank") or 0,
            "rope": config["qk_rope_head_dim"],
            "value_size": config["v_head_dim"],
        }
    return found | _parse_experts(config)


def _count_drafting(config: _Config) -> Any:
    return config.get("num_nextn_predict_layers") or 0


def _parse_experts(config: _Config) -> dict[str, Any]:
    experts = _count_experts(config)
    if not experts:
        return {"intermediate": config["intermediate_size"]}
    width = _get_first(config.get("moe_intermediate_size")) or config["intermediate_size"]
    beside = _get_first(config.get("n_shared_experts"))
    wide = config.get("shared_expert_intermediate_size") or beside * width
    return {
        "intermediate": config.get("dense_intermediate_size") or config["intermediate_size"],
        "experts": experts,
        "expert_intermediate": width,
        "shared": wide // width,
        "dense": _count_dense(config),
    }


def _count_dense(config: _Config) -> Any:
    """The layers that have an MLP in place of experts."""
    layers = config["num_hidden_layers"]
    frequency = config.get("moe_layer_freq", 1)
    if isinstance(frequency, list):
        return frequency[:layers].count(0)
    if kinds := config.get("mlp_layer_types"):
        return kinds.count("dense")
    only = set(config.get("mlp_only_layers") or ())
    step = config.get("decoder_sparse_step") or config.get("interleave_moe_layer_step") or 1
    first = config.get("first_k_dense_replace") or config.get("moe_layer_start_index") or 0
    return sum(n in only or n < first or (n + 1) % step > 0 for n in range(layers))


def _parse_windows(config: _Config) -> dict[str, Any]:
    """The layers that attend to no more than a window of tokens.

    :raises KeyError: there are layers of another kind.
    """
    kinds = config.get("layer_types")
    window = config.get("sliding_window") or config.get("attention_chunk_size")
    if not window or config.get("use_sliding_window") is False:
        if kinds and {*kinds} - {"full_attention", "attention"}:
            raise KeyError("layers of a third kind")
        return {}
    layers = config["num_hidden_layers"]
    if kinds:
        if {*kinds} - {*_LOCAL, "full_attention"}:
            raise KeyError("layers of a third kind")
        local = sum(kind in _LOCAL for kind in kinds)
    elif config.get("use_sliding_window"):
        local = layers - min(layers, config.get("max_window_layers", 0))
    else:
        every = config.get("sliding_window_pattern") or config.get("full_every") or layers + 1
        local = layers - layers // (every if isinstance(every, int) else len(every))
    return {"window": window, "windowed": local}


def _parse_falcon(config: _Config) -> dict[str, Any]:
    """One key of all heads, unless it is of the newer kind."""
    alone = not config.get("new_decoder_architecture") and config.get("multi_query", True)
    hidden = config["hidden_size"]
    kept = {**config, "intermediate_size": config.get("intermediate_size") or 4 * hidden}
    return _parse_dense(kept) | ({"kv_heads": 1} if alone else {})


def _parse_gpt(config: _Config) -> dict[str, Any]:
    kept = {"intermediate_size": 4 * config["hidden_size"], **config}
    return _parse_dense(kept) | ({"kv_heads": 1} if config.get("multi_query") else {})


def _parse_dbrx(config: _Config) -> dict[str, Any]:
    attention, experts = config["attn_config"], config["ffn_config"]
    named = {
        "num_key_value_heads": attention["kv_n_heads"],
        "intermediate_size": experts["ffn_hidden_size"],
        "num_experts": experts["moe_num_experts"],
    }
    return _parse_decoder({**config, **named})


def _parse_gemma4(config: _Config) -> dict[str, Any]:
    """Sliding and full layers have heads of their own size; the last layers share the caches of others."""
    layers, hidden, size = config["num_hidden_layers"], config["hidden_size"], config["head_dim"]
    queries, key_is_value = config["num_attention_heads"], bool(config.get("attention_k_eq_v"))
    sizes = [layer.get("head_dim", size) for layer in (config.get("per_layer_config") or {}).values()]
    full_size = config.get("global_head_dim") or max(sizes, default=512)
    full_heads = config.get("num_global_key_value_heads") if key_is_value else None
    sliding_keys = size * config["num_key_value_heads"]
    full_keys = full_size * (full_heads or config["num_key_value_heads"])
    shared = config.get("num_kv_shared_layers") or 0
    caching, sharing = config["layer_types"][: layers - shared], config["layer_types"][layers - shared :]
    sliding, full = (caching.count(kind) for kind in ("sliding_attention", "full_attention"))
    weights = sliding * hidden * 2 * (queries * size + sliding_keys)
    weights += full * hidden * (2 * queries * full_size + (1 if key_is_value else 2) * full_keys)
    sizes_shared = sum(full_size if kind == "full_attention" else size for kind in sharing)
    found = _parse_decoder({**config, "num_nextn_predict_layers": 0})
    if found.get("experts"):
        found["shared"] = config["intermediate_size"] // found["expert_intermediate"]
    elif config.get("use_double_wide_mlp"):
        found["intermediate"] = config["intermediate_size"] * (layers + shared) // layers
    inputs = config.get("hidden_size_per_layer_input") or 0
    return found | {
        "windowed": sliding,
        "window_token": 2 * sliding_keys,
        "token": 2 * full_keys,
        "attention_weights": weights // (sliding + full),
        "uncached": shared,
        "uncached_weights": 2 * queries * hidden * sizes_shared,
        "embeddings": config.get("vocab_size_per_layer_input", 0) * inputs * layers,
    }


def _parse_gemma3n(config: _Config) -> dict[str, Any]:
    layers, hidden = config["num_hidden_layers"], config["hidden_size"]
    shared = config.get("num_kv_shared_layers") or 0
    widths = config["intermediate_size"]
    width = sum(widths) // layers if isinstance(widths, list) else widths
    found = _parse_decoder({**config, "intermediate_size": width})
    inputs = config["vocab_size_per_layer_input"] * config["hidden_size_per_layer_input"]
    return found | {
        "windowed": config["layer_types"][: layers - shared].count("sliding_attention"),
        "uncached": shared,
        "uncached_weights": shared * 2 * hidden * found["heads"] * found["head_size"],
        "embeddings": inputs * layers,
    }


def _parse_mimo_v2(config: _Config) -> dict[str, Any]:
    """Values are smaller than keys, and sliding layers have more heads of them."""
    kinds = config.get("layer_types") or [
        "sliding_attention" if sliding else "full_attention" for sliding in config["hybrid_layer_pattern"]
    ]
    sliding, full = (kinds.count(kind) for kind in ("sliding_attention", "full_attention"))
    both = config["head_dim"] + config["v_head_dim"]
    sliding_token, token = config["swa_num_key_value_heads"] * both, config["num_key_value_heads"] * both
    queries = (sliding + full) * config["num_attention_heads"] * both
    weights = config["hidden_size"] * (queries + sliding * sliding_token + full * token)
    plain = {key: value for key, value in config.items() if key != "attention_chunk_size"}
    return _parse_decoder({**plain, "layer_types": kinds}) | {
        "token": token,
        "window_token": sliding_token,
        "attention_weights": weights // (sliding + full),
    }


def _parse_mllama(config: _Config) -> dict[str, Any]:
    """Layers of cross attention cache images, and no text."""
    found = _parse_decoder(config)
    crossing = len(config["cross_attention_layers"])
    each = 2 * found["hidden"] * found["head_size"] * (found["heads"] + found["kv_heads"])
    return found | {"uncached": crossing, "uncached_weights": crossing * each}


def _parse_llama4(config: _Config) -> dict[str, Any]:
    """Three of four layers attend to a chunk of the tokens."""
    return _parse_decoder(config) | {"intermediate": config["intermediate_size_mlp"], "shared": 1}


def _parse_qwen_hybrid(config: _Config) -> dict[str, Any]:
    """Three of four layers have a GatedDeltaNet, the others attention with a gate as large as the queries."""
    layers = config["num_hidden_layers"]
    every = config.get("full_attention_interval") or 4
    kinds = config.get("layer_types") or [
        "linear_attention" if (n + 1) % every else "full_attention" for n in range(layers)
    ]
    linear = kinds.count("linear_attention")
    if linear + kinds.count("full_attention") != layers:
        raise KeyError("layers of a third kind")
    found = _parse_decoder({"intermediate_size": 0, **config, "layer_types": None})
    hidden, heads, size = found["hidden"], found["heads"], found["head_size"]
    keys = config["linear_num_key_heads"] * config["linear_key_head_dim"]
    values = config["linear_num_value_heads"] * config["linear_value_head_dim"]
    gated = config.get("attn_output_gate", True)
    return found | {
        "attention_weights": hidden * size * (3 * heads + 2 * found["kv_heads"]) if gated else 0,
        "uncached": linear,
        "uncached_weights": linear * hidden * (2 * keys + 3 * values),
        "state_heads": [config["linear_num_key_heads"], config["linear_num_value_heads"]],
    }


def _parse_deepseek_v4(config: _Config) -> dict[str, Any]:
    """One key that is also the value, compressed in most layers: what a token takes is not known here."""
    found = _parse_dense({"intermediate_size": 0, **config})
    hidden, wide = found["hidden"], found["heads"] * found["head_size"]
    queries, outputs = config["q_lora_rank"], config["o_lora_rank"]
    projections = hidden * (queries + found["head_size"] + config["o_groups"] * outputs)
    return found | {
        "attention_weights": projections + wide * (queries + outputs),
        "experts": config["num_experts"],
        "expert_intermediate": config["moe_intermediate_size"],
        "shared": config["n_shared_experts"],
        "drafting": _count_drafting(config),
        "latent": found["head_size"] - config["qk_rope_head_dim"],
        "rope": config["qk_rope_head_dim"],
        "cache": "",
    }


def _parse_kimi_linear(config: _Config) -> dict[str, Any]:
    linear = config["linear_attn_config"]
    layers, wide = len(linear["kda_layers"]), linear["num_heads"] * linear["head_dim"]
    return _parse_decoder(config) | {
        "uncached": layers,
        "uncached_weights": layers * config["hidden_size"] * 4 * wide,
        "state_heads": [linear["num_heads"]],
        "expert_hidden": config.get("routed_expert_hidden_size") or 0,
    }


def _parse_nemotron_h(config: _Config) -> dict[str, Any]:
    """Each layer is one of Mamba, attention, an MLP and experts; the latter two have no gate."""
    letters = {"M": "mamba", "E": "moe", "*": "attention", "-": "mlp"}
    kinds = config.get("layers_block_type") or [letters[c] for c in config["hybrid_override_pattern"]]
    mamba, moe, mlp = kinds.count("mamba"), kinds.count("moe"), kinds.count("mlp")
    attention = kinds.count("attention")
    if mamba + moe + mlp + attention != len(kinds) or config["mlp_hidden_act"] != "relu2" or (moe and mlp):
        raise KeyError("layers of another kind")
    hidden = config["hidden_size"]
    latent = config.get("moe_latent_size") or 0
    sized = {"head_dim": config.get("head_dim") or config.get("attention_head_dim")}
    found = _parse_dense({**config, **sized, "num_hidden_layers": len(kinds)}) | {
        "intermediate": mlp * config["intermediate_size"] // len(kinds),
        "dense": len(kinds) - moe,
        "matrices": 2,
        "uncached": len(kinds) - attention,
        "state_heads": _list_state_heads(config),
        "uncached_weights": mamba * _count_mamba2(config) + moe * 2 * hidden * latent,
        "drafting": _count_drafting(config),
    }
    if not moe:
        return found
    shared = config["moe_shared_expert_intermediate_size"] // config["moe_intermediate_size"]
    return found | {
        "intermediate": 0,
        "experts": config["num_experts"],
        "expert_intermediate": config["moe_intermediate_size"],
        "expert_hidden": latent,
        "shared": shared * config["n_shared_experts"],
    }


def _count_mamba2(config: _Config) -> Any:
    """Weights of one layer of Mamba 2: vLLM's `layers/mamba/mamba_mixer2.py`."""
    heads = config.get("mamba_num_heads") or config["mamba_n_heads"]
    size = config.get("mamba_head_dim") or config["mamba_d_head"]
    groups = config.get("n_groups") or config["mamba_n_groups"]
    state = config.get("ssm_state_size") or config["mamba_d_state"]
    return config["hidden_size"] * (3 * heads * size + 2 * groups * state + heads)


def _list_state_heads(config: _Config) -> list[int]:
    """The heads and groups of Mamba 2 by its usual keys; a single group is repeated."""
    heads = config.get("mamba_num_heads") or config.get("mamba_n_heads")
    groups = config.get("mamba_n_groups") or config.get("n_groups") or 1
    return [heads, *([groups] if groups > 1 else [])] if heads else []


def _parse_granite_hybrid(config: _Config) -> dict[str, Any]:
    """Each layer has Mamba 2 or attention, and shared experts that are an MLP if there are no others."""
    kinds = config.get("layer_types") or config.get("layers_block_type") or []
    mamba = sum(kind in ("mamba", "linear_attention") for kind in kinds)
    attending = sum(kind in ("attention", "full_attention") for kind in kinds)
    if mamba + attending != config["num_hidden_layers"]:
        raise KeyError("layers of a third kind")
    plain = {**config, "layer_types": None}
    if not _count_experts(config):
        plain["intermediate_size"] = config["shared_expert_intermediate_size"]
    return _parse_decoder(plain) | {
        "uncached": mamba,
        "uncached_weights": mamba * _count_mamba2(config) if mamba else 0,
        "state_heads": _list_state_heads(config) if mamba else [],
    }


def _parse_bamba(config: _Config) -> dict[str, Any]:
    attending = len(config["attn_layer_indices"])
    mamba = config["num_hidden_layers"] - attending
    return _parse_decoder({**config, "layer_types": None}) | {
        "uncached": mamba,
        "uncached_weights": mamba * _count_mamba2(config),
        "state_heads": _list_state_heads(config),
    }


def _parse_falcon_h1(config: _Config) -> dict[str, Any]:
    """Each layer has attention and Mamba 2 side by side."""
    found = _parse_decoder({**config, "layer_types": None})
    attention = 2 * found["hidden"] * found["head_size"] * (found["heads"] + found["kv_heads"])
    inner = config.get("mamba_d_ssm") or config["mamba_expand"] * config["hidden_size"]
    sized = {**config, "mamba_d_head": inner // config["mamba_n_heads"]}
    return found | {
        "attention_weights": attention + _count_mamba2(sized),
        "state_heads": _list_state_heads(config),
    }


def _parse_jamba(config: _Config) -> dict[str, Any]:
    """One of some layers has attention, the others Mamba; every second one has experts."""
    layers, hidden = config["num_hidden_layers"], config["hidden_size"]

    def count(kind: str) -> int:
        offset, period = config[f"{kind}_layer_offset"], config[f"{kind}_layer_period"]
        return sum(n % period == offset for n in range(layers))

    inner, rank = config["mamba_expand"] * hidden, config["mamba_dt_rank"]
    rank = -(-hidden // 16) if rank == "auto" else rank
    state = inner * (2 * rank + 2 * config["mamba_d_state"])
    mamba = layers - count("attn")
    return _parse_decoder(config) | {
        "dense": layers - count("expert") if config["num_experts"] > 1 else 0,
        "experts": config["num_experts"] if config["num_experts"] > 1 else 0,
        "uncached": mamba,
        "uncached_weights": mamba * (3 * hidden * inner + state),
    }


def _parse_lfm2(config: _Config) -> dict[str, Any]:
    """Layers have a short convolution or attention."""
    layers, kinds = config["num_hidden_layers"], config.get("layer_types")
    short = kinds.count("conv") if kinds else layers - len(config["full_attn_idxs"])
    if kinds and short + kinds.count("full_attention") != layers:
        raise KeyError("layers of a third kind")
    width = config.get("block_ff_dim") or config["intermediate_size"]
    if config.get("block_auto_adjust_ff_dim"):
        multiple = config["block_multiple_of"]
        width = int(2 * width / 3 * config.get("block_ffn_dim_multiplier", 1))
        width = multiple * -(-width // multiple)
    first = {"first_k_dense_replace": config.get("num_dense_layers") or 0}
    return _parse_decoder({**config, **first, "layer_types": None, "intermediate_size": width}) | {
        "uncached": short,
        "uncached_weights": short * 4 * config["hidden_size"] ** 2,
    }


_TIED = {"tie_word_embeddings": True}
_NO_GATE = {"matrices": 2}
_PLAIN = (
    *("llama", "qwen2", "qwen3", "qwen2vl", "qwen25vl", "qwen3vl", "qwen25omni", "mistral", "ministral3"),
    *("phi3", "phi3v", "olmo", "olmo2", "exaone", "seedoss", "glm", "glm4", "glm4v", "stablelm", "granite"),
    *(
        "helium",
        "internlm",
        "internlm2",
        "internlm3",
        "baichuan",
        "orion",
        "xverse",
        "aquila",
        "mimo",
        "hyperclovax",
    ),
    *("mixtral", "phimoe", "granitemoe", "granitemoeshared", "olmoe", "qwen2moe", "qwen3moe", "qwen3vlmoe"),
    *("qwen3omnimoe", "deepseek", "deepseekv2", "deepseekv3", "deepseekv32", "glmmoedsa", "glm4moe"),
    *("glm4moelite", "glm4vmoe", "minimaxm2", "minimaxm3", "minimaxm3sparse", "dots1", "bailingmoe"),
    *("minimaxm3vl", "bailingmoev2", "exaone4", "exaonemoe", "axk1", "hyv3", "mistral4", "youtu", "cwm"),
    *("graniteswa", "granitemoeswa", "flexolmo", "phi4multimodal", "phi4mm", "llavallama", "hunyuandensev1"),
    "hunyuanmoev1",
)
# Families by their architecture, in lower case and without its suffix, with what transformers' class says
# where a config.json does not.
_FAMILIES: dict[str, tuple[Callable[[_Config], dict[str, Any]], dict[str, Any]]] = {
    **{name: (_parse_decoder, {}) for name in _PLAIN},
    **dict.fromkeys(("smollm3", "ernie45", "ernie45moe", "minicpm"), (_parse_decoder, _TIED)),
    **dict.fromkeys(("gptneox", "phi", "nemotron", "arcee", "apertus"), (_parse_decoder, _NO_GATE)),
    "gemma": (_parse_decoder, _TIED | {"head_dim": 256}),
    "gemma2": (_parse_decoder, _TIED | {"head_dim": 256, "sliding_window": 4096, "full_every": 2}),
    "gemma3": (_parse_decoder, _TIED | {"head_dim": 256, "sliding_window": 4096, "full_every": 6}),
    "gemma3n": (_parse_gemma3n, _TIED),
    "gemma4": (_parse_gemma4, _TIED),
    "cohere": (_parse_decoder, _TIED),
    **{name: (_parse_decoder, _TIED | {"full_every": 4}) for name in ("cohere2", "cohere2moe")},
    "olmo3": (_parse_decoder, {"sliding_window": 4096, "full_every": 4}),
    "gptoss": (_parse_decoder, {"full_every": 2}),
    "starcoder2": (_parse_decoder, _TIED | _NO_GATE),
    "opt": (_parse_decoder, _TIED | _NO_GATE),
    "falcon": (_parse_falcon, _TIED | _NO_GATE | {"max_position_embeddings": 2048}),
    **dict.fromkeys(("gpt2", "gptbigcode"), (_parse_gpt, _TIED | _NO_GATE)),
    "bloom": (_parse_gpt, _TIED | _NO_GATE | {"max_position_embeddings": 2048}),
    "gptj": (_parse_gpt, _NO_GATE),
    "chatglm": (_parse_decoder, {}),
    "dbrx": (_parse_dbrx, {}),
    "mllama": (_parse_mllama, {}),
    "llama4": (_parse_llama4, {"full_every": 4}),
    "mimov2flash": (_parse_mimo_v2, {}),
    **{name: (_parse_qwen_hybrid, {}) for name in ("qwen3next", "qwen35", "qwen35moe")},
    "deepseekv4": (_parse_deepseek_v4, {}),
    "kimilinear": (_parse_kimi_linear, {}),
    "nemotronh": (_parse_nemotron_h, {}),
    "granitemoehybrid": (_parse_granite_hybrid, {}),
    "bamba": (_parse_bamba, {}),
    "falconh1": (_parse_falcon_h1, {}),
    "jamba": (_parse_jamba, {}),
    **dict.fromkeys(("lfm2", "lfm2moe"), (_parse_lfm2, _TIED)),
}
# The sizes of classes that multimodal configurations leave out.
_CLASSES: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 2048,
    },
    "mistral": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 32000,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
    "gemma3": {
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
    },
}
