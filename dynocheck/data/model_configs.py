"""Parses a model's `config.json` of the Hugging Face hub: its layers, and what its weights are stored in."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from dynocheck.data.model_families import find_parser, parse_unknown
from dynocheck.data.models import BITS, Model, WeightPrecisions

_MIN_CHECKPOINT_SHARE = 0.9  # of what a configuration says: a checkpoint that is smaller is stored in less
_MAX_QUANTIZED_SHARE = 1.25  # of it, for layers that some quantizations leave out, and a vision tower
_PLAIN = WeightPrecisions()
_QUANTIZED = re.compile(
    r"(?<![a-z])(awq|gptq|gguf|fp8|(nv|mx)?fp4|int[48]|w\d+a\d+|[48]-?bits?)(?![a-z])", re.I
)
_MAX_GLOBS, _MAX_GLOB = 1000, 200  # each is compiled
_LAYER = re.compile(r"layers\.(\d+)(?!\d)")
_TOWER = re.compile(r"vision|visual|audio")
_ALGORITHMS = {
    "FP8": "fp8",
    "FP8_PB_WO": "fp8",
    "FP8_PER_CHANNEL_PER_TOKEN": "fp8",
    "MXFP8": "fp8",
    "NVFP4": "nvfp4",
    "W4A16_NVFP4": "nvfp4",
}
_INNER = ("text_config", "llm_config", "language_config", "thinker_config")
_BESIDE = ("architectures", "torch_dtype", "dtype", "quantization_config", "tie_word_embeddings")
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
        given = {key: _forbid_repeating(value) for key, value in config.items()}
        text = _find_text_config(given)
        parse = find_parser(text, inner=text is not given)
        if parse is None and not checkpoint:
            return None
        sizes = parse() if parse is not None else parse_unknown(text)
        named = {"names": [name], "source": source}
        plain = msgspec.convert(sizes | named, Model)
        found = msgspec.convert(_parse_precisions(text, _count_layers(plain)) | sizes | named, Model)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError):
        return None
    if checkpoint and not found.opaque and _contradicts(checkpoint, found):
        silent = found.cache and found.stored == _PLAIN  # its config does not say how it is stored
        cache = "unknown" if silent else found.cache
        found = msgspec.structs.replace(found, opaque=True, cache=cache)
    if found.opaque and not checkpoint:
        return None
    if not checkpoint and not text.get("quantization_config") and _QUANTIZED.search(name):
        return None  # its name says more than its configuration
    return msgspec.structs.replace(found, checkpoint=checkpoint or 0)


class _Text(str):
    __slots__ = ()
    __mul__ = __rmul__ = None  # type: ignore[assignment]


class _Row(list[Any]):
    __mul__ = __rmul__ = None  # type: ignore[assignment]


def _forbid_repeating(value: Any) -> Any:
    """A part of a configuration in which a text or a list where a number belongs is a TypeError: times the
    next number, it would be repeated as often.
    """
    if isinstance(value, str):
        return _Text(value)
    if isinstance(value, list):
        return _Row(map(_forbid_repeating, value))
    return {k: _forbid_repeating(v) for k, v in value.items()} if isinstance(value, dict) else value


def _contradicts(checkpoint: int, model: Model) -> bool:
    """Whether weight files are stored in another precision than a configuration says.

    More than it says is only told by quantized ones: others may be stored in FP32, and loaded in 16 bits.
    """
    share = checkpoint / model.disk_bytes
    return share < _MIN_CHECKPOINT_SHARE or (share > _MAX_QUANTIZED_SHARE and model.stored != _PLAIN)


def _find_text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration of the language model, with what a multimodal one says beside it."""
    for name in _INNER:
        inner = config.get(name)
        if isinstance(inner, dict):
            kept = {key: config[key] for key in _BESIDE if config.get(key) is not None}
            own = {key: value for key, value in inner.items() if key not in _BESIDE or value is not None}
            tied = [each["tie_word_embeddings"] for each in (kept, own) if "tie_word_embeddings" in each]
            return _find_text_config({**kept, **own, **({"tie_word_embeddings": any(tied)} if tied else {})})
    return config


def _count_layers(model: Model) -> dict[str, int]:
    """How many layers have weights of each kind."""
    return {
        "attention": model.layers - model.uncached,
        "mlp": model.sparse or model.layers,
        "experts": model.sparse,
        "uncached": model.uncached,
    }


def _parse_precisions(config: Mapping[str, Any], layers: Mapping[str, int]) -> dict[str, Any]:
    """The precisions of its weights and its cache.

    :param layers: how many layers have weights of each kind.
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
    stored = _parse_stored(config, quantized, layers)
    if stored is None:
        return {"opaque": True, "cache": cache}
    block = (quantized.get("weight_block_size") or [0])[0] if quantized.get("quant_method") == "fp8" else 0
    return {"stored": stored, "block": block, "cache": cache}


def _parse_stored(
    config: Mapping[str, Any], quantized: Mapping[str, Any], layers: Mapping[str, int]
) -> dict[str, str] | None:
    """The precision of each kind of weight; None if its quantization is not known here."""
    if quantized.get("quant_method") == "mxfp4":
        return {"experts": "mxfp4"}
    modules = quantized.get("quantized_layers")
    if isinstance(modules, dict):
        stored = _parse_layers(modules)
        kept = "fp8" if quantized.get("quant_method") == "fp8" else "bf16"
        return dict.fromkeys(_KINDS, kept) | stored if stored is not None else None
    precision = _find_precision(quantized)
    if precision is None:
        return None
    ignored = quantized.get("ignore") or quantized.get("exclude_modules")
    globs = _collect_ignored([*(ignored or ()), *(quantized.get("modules_to_not_convert") or ())])
    stored = {kind: "bf16" if _is_ignored(kind, globs, layers[kind]) else precision for kind in _KINDS}
    if config.get("expert_dtype") == "fp4":
        stored["experts"] = "mxfp4"
    return stored


def _find_precision(quantized: Mapping[str, Any]) -> str | None:
    """What a quantization stores all weights in that it does not leave out."""
    method = quantized.get("quant_method")
    if method in ("fp8", "fbgemm_fp8"):
        return "fp8"
    if "quant_algo" in quantized:
        return _ALGORITHMS.get(quantized["quant_algo"])
    if method in ("awq", "gptq") and "group_size" in quantized and not quantized.get("lm_head"):
        return _name_integers(quantized.get("bits"), quantized["group_size"])
    if method == "bitsandbytes":
        small = quantized.get("load_in_4bit") or quantized.get("_load_in_4bit")
        return "int4" if small else "int8" if quantized.get("load_in_8bit") else None
    groups = quantized.get("config_groups")
    if method != "compressed-tensors" or not groups or len(groups) > 1:
        return None
    (weights,) = (group["weights"] for group in groups.values())
    if weights["type"] == "int":
        return _name_integers(weights["num_bits"], weights.get("group_size"))
    found = {8: "fp8", (4, 16): "nvfp4", (4, 32): "mxfp4"}
    bits = weights["num_bits"]
    return found.get(bits, found.get((bits, weights.get("group_size"))))


def _name_integers(bits: object, group: int | None) -> str | None:
    """Integers of this many bits, in groups that have a scale each; the next larger one that is known."""
    if bits == 8:
        return "int8"
    if bits != 4:
        return None
    known = [size for size in (32, 128) if group is not None and 0 < group <= size]
    return f"int4-g{known[0]}" if known else "int4"


def _parse_layers(modules: Mapping[str, Any]) -> dict[str, str] | None:
    """The smallest precision of each kind of modules that a mixed quantization names."""
    stored: dict[str, str] = {}
    for module, how in modules.items():
        kind = next((kind for kind, words in _KINDS.items() if words.search(module)), None)
        if kind is not None:
            precision = _find_precision(how)
            if precision is None:
                return None
            stored[kind] = min(stored.get(kind, precision), precision, key=BITS.__getitem__)
    return stored


def _collect_ignored(patterns: Iterable[str]) -> dict[str, set[str]]:
    """Patterns of modules that stay as they were, as globs of what a layer has, with the numbers of these
    layers. One that is empty is of whole layers, a number that is empty of every layer.

    :raises ValueError: there are more, or longer ones, than any model has.
    """
    globs: dict[str, set[str]] = {}
    for pattern in patterns:
        if _TOWER.search(pattern):
            continue
        glob = pattern.removeprefix("re:").replace(".*", "*").replace("\\", "")
        layer = _LAYER.search(glob)
        rest = glob[layer.end() :].strip(".") if layer else glob
        if rest.strip("*.") or layer:
            globs.setdefault(f"*{rest}" if rest.strip("*.") else "", set()).add(layer[1] if layer else "")
    if len(globs) > _MAX_GLOBS or any(len(glob) > _MAX_GLOB for glob in globs):
        raise ValueError("too many modules")
    return globs


def _is_ignored(kind: str, globs: Mapping[str, set[str]], layers: int) -> bool:
    """Whether patterns leave the weights of a kind as they were in all layers that have them."""
    numbers = set(globs.get("", ()))
    for glob, found in globs.items():
        if kind == "experts" and "expert" not in glob:
            continue  # they are beside `mlp` in some models, and below it in others
        if glob and any(fnmatchcase(f"model.layers.9.{name}", glob) for name in _MODULES[kind]):
            numbers |= found
    return "" in numbers or len(numbers) >= layers > 0


def _is_fp8_cache(quantized: Mapping[str, Any]) -> bool:
    scheme = quantized.get("kv_cache_quant_algo") or quantized.get("kv_cache_scheme")
    if isinstance(scheme, dict):
        return scheme.get("num_bits") == 8 and scheme.get("type") == "float"
    return scheme == "FP8"


def _has_key(quantized: Mapping[str, Any], word: str) -> bool:
    """Whether a quantization has something of this name in it, here or a level below."""
    levels = [quantized, *(below for below in quantized.values() if isinstance(below, dict))]
    return any(word in key and value for level in levels for key, value in level.items())
