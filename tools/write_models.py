"""Makes dynocheck/data/models.json from the model configurations that aiconfigurator-core and litgpt publish.

    python -m tools.write_models

Checkpoints of one model that differ only in how their weights are stored are rows of their own: what that is
stands here, with its source.
"""

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from dynocheck.data.model_configs import parse_model_config
from dynocheck.data.models import Model, WeightPrecisions
from tools.packages import open_wheel

PACKAGE = "aiconfigurator-core==0.12.0"
FOLDER = "aiconfigurator_core/model_configs"
TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "models.json"
SOURCE = "https://pypi.org/project/aiconfigurator-core/0.12.0/ model_configs/{}_config.json"
LITGPT = "litgpt==0.5.13"
LITGPT_SOURCE = "https://pypi.org/project/litgpt/0.5.13/ litgpt/config.py"
HUB = "https://huggingface.co/"

# Published configurations, and the hub ids that have the same one.
MODELS = {
    "Qwen/Qwen3-0.6B": (),
    "Qwen/Qwen3-1.7B": (),
    "Qwen/Qwen3-8B": (),
    "Qwen/Qwen3-32B": (),
    "Qwen/Qwen3-32B-FP8": (),
    "Qwen/Qwen3-30B-A3B": (),
    "Qwen/Qwen3-30B-A3B-FP8": (),
    "Qwen/Qwen3-235B-A22B": (),
    "Qwen/Qwen3-235B-A22B-FP8": (),
    "Qwen/Qwen3-Coder-480B-A35B-Instruct": (),
    "meta-llama/Meta-Llama-3.1-8B": (
        "meta-llama/Meta-Llama-3.1-8B-Instruct",
        "meta-llama/Llama-3.1-8B",
        "meta-llama/Llama-3.1-8B-Instruct",
    ),
    "meta-llama/Meta-Llama-3.1-70B": (
        "meta-llama/Meta-Llama-3.1-70B-Instruct",
        "meta-llama/Llama-3.1-70B",
        "meta-llama/Llama-3.1-70B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
    ),
    "meta-llama/Meta-Llama-3.1-405B": (
        "meta-llama/Meta-Llama-3.1-405B-Instruct",
        "meta-llama/Llama-3.1-405B",
        "meta-llama/Llama-3.1-405B-Instruct",
    ),
    "Qwen/Qwen3-VL-4B-Instruct": (),
    "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-FP8": (),
    "mistralai/Mixtral-8x7B-v0.1": ("mistralai/Mixtral-8x7B-Instruct-v0.1",),
    "mistralai/Mixtral-8x22B-v0.1": (),
    "openai/gpt-oss-20b": (),
    "openai/gpt-oss-120b": (),
    "deepseek-ai/DeepSeek-V3": ("deepseek-ai/DeepSeek-V3-0324", "deepseek-ai/DeepSeek-V3.1"),
    "deepseek-ai/DeepSeek-R1": ("deepseek-ai/DeepSeek-R1-0528",),
    "moonshotai/Kimi-K2-Instruct": ("moonshotai/Kimi-K2-Base",),
    "Qwen/Qwen3-VL-2B-Instruct": (),
    "Qwen/Qwen3-VL-8B-Instruct": (),
    "Qwen/Qwen3-VL-30B-A3B-Instruct": (),
    "Qwen/Qwen3-VL-32B-Instruct": (),
    "Qwen/Qwen3-VL-235B-A22B-Instruct": (),
    "Qwen/Qwen3.5-27B": (),
    "Qwen/Qwen3.5-35B-A3B": (),
    "Qwen/Qwen3.5-122B-A10B": (),
    "Qwen/Qwen3.5-397B-A17B": (),
    "deepseek-ai/DeepSeek-V3.2": (),
    "deepseek-ai/DeepSeek-V4-Flash": (),
    "deepseek-ai/DeepSeek-V4-Pro": (),
    "moonshotai/Kimi-K2.5": (),
    "moonshotai/Kimi-K3": (),
    "nvidia/DeepSeek-V3.1-NVFP4": (),
    "nvidia/DeepSeek-V3.2-NVFP4": (),
    "nvidia/DeepSeek-V4-Flash-NVFP4": (),
    "nvidia/DeepSeek-V4-Pro-NVFP4": (),
    "nvidia/GLM-5-NVFP4": (),
    "nvidia/GLM-5.2-NVFP4": (),
    "nvidia/Kimi-K2.5-NVFP4": (),
    "nvidia/Kimi-K2.6-NVFP4": (),
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": (),
    "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4": (),
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8": (),
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4": (),
    "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16": (),
    "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4": (),
    "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4": (),
    "nvidia/Qwen3.5-122B-A10B-NVFP4": (),
    "MiniMaxAI/MiniMax-M2.5": (),
    "MiniMaxAI/MiniMax-M2.7": (),
    "MiniMaxAI/MiniMax-M3": (),
    "XiaomiMiMo/MiMo-7B-Base": (),
    "XiaomiMiMo/MiMo-V2-Flash": (),
    "Qwen/Qwen3-VL-32B-Thinking": (),
    "google/gemma-4-26B-A4B": ("google/gemma-4-26B-A4B-it",),
    "nvidia/GLM-5.1-NVFP4": (),
    "nvidia/GLM-5.3-NVFP4": (),
    "nvidia/Gemma-4-26B-A4B-NVFP4": (),
    "nvidia/Gemma-4-31B-IT-NVFP4": (),
    "nvidia/Kimi-K2.7-Code-NVFP4": (),
    "nvidia/MiniMax-M2.5-NVFP4": (),
    "nvidia/MiniMax-M2.7-NVFP4": (),
    "nvidia/MiniMax-M3-NVFP4": (),
    "nvidia/Nemotron-H-56B-Base-8K": (),
    "nvidia/Qwen3.5-397B-A17B-NVFP4": (),
    "nvidia/Qwen3.6-27B-NVFP4": (),
    "nvidia/Qwen3.6-35B-A3B-NVFP4": (),
    "sgl-project/DeepSeek-V4-Flash-FP8": (),
    "sgl-project/DeepSeek-V4-Pro-FP8": (),
    "zai-org/GLM-5": (),
    "zai-org/GLM-5.1": (),
    "zai-org/GLM-5.1-FP8": (),
    "zai-org/GLM-5.3": (),
    "zai-org/GLM-5.3-FP8": (),
    "zai-org/GLM-5-FP8": (),
    "zai-org/GLM-5.2": (),
    "zai-org/GLM-5.2-FP8": (),
}

# Models whose quantized form alone has a published configuration there.
PLAIN = {
    "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-BF16": "nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
    "Qwen/Qwen3.6-27B": "nvidia/Qwen3.6-27B-NVFP4",
    "Qwen/Qwen3.6-35B-A3B": "nvidia/Qwen3.6-35B-A3B-NVFP4",
    "google/gemma-4-31B-it": "nvidia/Gemma-4-31B-IT-NVFP4",
}

# Other checkpoints of those: what is stored in less, the cache that they ask for, and who says so.
_FP8 = {"stored": WeightPrecisions("fp8", "fp8", "fp8", "fp8"), "source": HUB}
QUANTIZED: dict[str, tuple[str, dict[str, Any]]] = {
    # The sizes of 3.1, with 8,192 tokens of context.
    **{
        f"meta-llama/Meta-Llama-3-{size}{kind}": (
            f"meta-llama/Meta-Llama-3.1-{size}",
            {"context": 8192, "source": HUB},
        )
        for size in ("8B", "70B")
        for kind in ("", "-Instruct")
    },
    "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic": ("meta-llama/Meta-Llama-3.1-70B", _FP8),
    "nvidia/Llama-3.1-70B-Instruct-FP8": (
        "meta-llama/Meta-Llama-3.1-70B",
        {**_FP8, "cache": "fp8", "source": SOURCE},
    ),
    "nvidia/Llama-3.3-70B-Instruct-FP8": ("meta-llama/Meta-Llama-3.1-70B", {**_FP8, "cache": "fp8"}),
    # Later versions of the same sizes, for more tokens.
    **{
        f"Qwen/Qwen3-{size}-{kind}-2507": (f"Qwen/Qwen3-{size}", {"context": 262144, "source": LITGPT_SOURCE})
        for size in ("30B-A3B", "235B-A22B")
        for kind in ("Instruct", "Thinking")
    },
    "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF": ("meta-llama/Meta-Llama-3.1-70B", {"source": LITGPT_SOURCE}),
    # Distilled into models of other names, whose sizes they have.
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": ("meta-llama/Meta-Llama-3.1-8B", {"source": HUB}),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": ("meta-llama/Meta-Llama-3.1-70B", {"source": HUB}),
    "nvidia/Qwen3-235B-A22B-NVFP4": (
        "Qwen/Qwen3-235B-A22B",
        {"stored": WeightPrecisions("nvfp4", "nvfp4", "nvfp4"), "cache": "fp8", "source": SOURCE},
    ),
    # The card of its second version says that only that one has an attention weight in FP4.
    "nvidia/DeepSeek-R1-FP4": (
        "deepseek-ai/DeepSeek-R1",
        {
            "stored": WeightPrecisions("bf16", "nvfp4", "nvfp4"),
            "source": HUB + "nvidia/DeepSeek-R1-0528-FP4-v2",
        },
    ),
    # Its attention's output is in FP4, by its card; all of it is taken to be.
    **{
        f"nvidia/DeepSeek-R1-0528-{kind}": (
            "deepseek-ai/DeepSeek-R1",
            {"stored": WeightPrecisions("nvfp4", "nvfp4", "nvfp4"), "cache": "unknown", "source": HUB},
        )
        for kind in ("FP4-v2", "NVFP4-v2")
    },
    # FP8 by their names; the configurations were not at hand, and so the blocks are not known.
    "Qwen/Qwen3-VL-30B-A3B-Instruct-FP8": ("Qwen/Qwen3-VL-30B-A3B-Instruct", _FP8),
    "Qwen/Qwen3-VL-32B-Instruct-FP8": ("Qwen/Qwen3-VL-32B-Instruct", _FP8),
    "Qwen/Qwen3.5-122B-A10B-FP8": ("Qwen/Qwen3.5-122B-A10B", _FP8),
    "Qwen/Qwen3.5-397B-A17B-FP8": ("Qwen/Qwen3.5-397B-A17B", _FP8),
    "MiniMaxAI/MiniMax-M3-MXFP8": ("MiniMaxAI/MiniMax-M3", _FP8),
    # A checkpoint "identical" in its format says blocks of 128.
    "Qwen/Qwen3.6-35B-A3B-FP8": (
        "Qwen/Qwen3.6-35B-A3B",
        {**_FP8, "block": 128, "source": "https://friendli.ai/models/gsting/Qwen3.6-35B-A3B-abliterated-FP8"},
    ),
    # "Kimi-K2.6 adopts the same native int4 quantization method as Kimi-K2-Thinking": as K2.5.
    "moonshotai/Kimi-K2.6": ("moonshotai/Kimi-K2.5", {"source": HUB}),
}


# Dense models of litgpt, with the hub ids that have the same configuration, and what litgpt does not say.
_TIED = {"tied": True}  # tie_word_embeddings of their config.json
_QWEN = {"context": 32768}  # their config.json; litgpt says that of the base
_SMOL = ("135M", "360M", "1.7B")
_GEMMA = {"tied": True}  # GemmaConfig, Gemma2Config and Gemma3TextConfig of transformers
_GEMMA_1 = {**_GEMMA, "context": 8192}  # gemma/config.py of google/gemma_pytorch; litgpt trains with 4,096
DENSE: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "google/gemma-2b": (("google/gemma-2b-it", "google/gemma-1.1-2b-it"), _GEMMA_1),
    "google/gemma-7b": (("google/gemma-7b-it", "google/gemma-1.1-7b-it"), _GEMMA_1),
    "google/codegemma-7b-it": (("google/codegemma-7b",), _GEMMA_1),
    "google/gemma-2-2b": (("google/gemma-2-2b-it",), _GEMMA),
    "google/gemma-2-9b": (("google/gemma-2-9b-it",), _GEMMA),
    "google/gemma-2-27b": (("google/gemma-2-27b-it",), _GEMMA),
    "google/gemma-3-1b-it": (
        (),
        {**_GEMMA, "context": 32768},
    ),  # its config.json; litgpt has that of larger ones
    "google/gemma-3-4b-it": ((), _GEMMA),
    "google/gemma-3-12b-it": ((), _GEMMA),
    "google/gemma-3-27b-it": ((), _GEMMA),
    "mistralai/Mistral-7B-Instruct-v0.2": ((), {}),
    "mistralai/Mistral-7B-Instruct-v0.3": (("mistralai/Mistral-7B-v0.3",), {}),
    "meta-llama/Llama-2-7b-chat-hf": (("meta-llama/Llama-2-7b-hf",), {}),
    "meta-llama/Llama-2-13b-chat-hf": (("meta-llama/Llama-2-13b-hf",), {}),
    "meta-llama/Llama-2-70b-chat-hf": ((), {}),
    "meta-llama/Llama-3.2-1B": (("meta-llama/Llama-3.2-1B-Instruct",), _TIED),
    "meta-llama/Llama-3.2-3B": (("meta-llama/Llama-3.2-3B-Instruct",), _TIED),
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": ((), {}),
    **{f"Qwen/Qwen2.5-{size}-Instruct": ((), {**_TIED, **_QWEN}) for size in ("0.5B", "1.5B", "3B")},
    **{f"Qwen/Qwen2.5-{size}-Instruct": ((), _QWEN) for size in ("7B", "14B", "32B", "72B")},
    **{f"Qwen/Qwen2.5-Coder-{size}-Instruct": ((), _TIED) for size in ("0.5B", "1.5B", "3B")},
    **{f"Qwen/Qwen2.5-Coder-{size}-Instruct": ((), {}) for size in ("7B", "14B", "32B")},
    "Qwen/Qwen3-4B": ((), _TIED),
    "Qwen/Qwen3-4B-Instruct-2507": (("Qwen/Qwen3-4B-Thinking-2507",), _TIED),
    "Qwen/Qwen3-14B": ((), {}),
    **{
        f"HuggingFaceTB/SmolLM2-{size}": ((f"HuggingFaceTB/SmolLM2-{size}-Instruct",), _TIED)
        for size in _SMOL
    },
    "microsoft/phi-4": ((), {}),
    "tiiuae/falcon-7b": (("tiiuae/falcon-7b-instruct",), {**_TIED, "matrices": 2}),
    "tiiuae/falcon-40b": (("tiiuae/falcon-40b-instruct",), {**_TIED, "matrices": 2}),
    **{
        f"codellama/CodeLlama-{size}-hf": ((f"codellama/CodeLlama-{size}-Instruct-hf",), {})
        for size in ("7b", "34b")
    },
}

# Checkpoints of those in 4 bits, by their config.json: AWQ in groups of 128.
_AWQ = WeightPrecisions("int4-g128", "int4-g128", "int4-g128")
AWQ = {
    f"Qwen/Qwen2.5-{size}-Instruct": f"Qwen/Qwen2.5-{size}-Instruct-AWQ"
    for size in ("7B", "14B", "32B", "72B", "Coder-7B", "Coder-14B", "Coder-32B")
}

# By their own config.json, of which no package has a copy.
_LLAMA_4 = {
    "layers": 48,
    "hidden": 5120,
    "heads": 40,
    "kv_heads": 8,
    "head_size": 128,
    "vocabulary": 202048,
    "expert_intermediate": 8192,
    "shared": 1,
    "window": 8192,
    "windowed": 36,  # chunks in three of four layers
}
_GRANITE = {
    "layers": 40,
    "hidden": 4096,
    "heads": 32,
    "kv_heads": 8,
    "head_size": 128,
    "vocabulary": 49155,
    "context": 131072,
    "intermediate": 12800,
    "tied": True,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "facebook/opt-125m": {
        "layers": 12,
        "hidden": 768,
        "heads": 12,
        "kv_heads": 12,
        "head_size": 64,
        "vocabulary": 50272,
        "context": 2048,
        "intermediate": 3072,
        "matrices": 2,
        "tied": True,
    },
    "facebook/opt-1.3b": {
        "layers": 24,
        "hidden": 2048,
        "heads": 32,
        "kv_heads": 32,
        "head_size": 64,
        "vocabulary": 50272,
        "context": 2048,
        "intermediate": 8192,
        "matrices": 2,
        "tied": True,
    },
    # The language model of Qwen2.5-7B, for more tokens.
    "Qwen/Qwen2.5-VL-7B-Instruct": {
        "layers": 28,
        "hidden": 3584,
        "heads": 28,
        "kv_heads": 4,
        "head_size": 128,
        "vocabulary": 152064,
        "context": 128000,
        "intermediate": 18944,
    },
    "ibm-granite/granite-4.0-micro": {
        "layers": 40,
        "hidden": 2560,
        "heads": 40,
        "kv_heads": 8,
        "head_size": 64,
        "vocabulary": 100352,
        "context": 131072,
        "intermediate": 8192,
        "tied": True,
    },
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": {
        **_LLAMA_4,
        "context": 10485760,
        "intermediate": 0,
        "experts": 16,
    },
    # Every second layer has an MLP in place of experts.
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct": {
        **_LLAMA_4,
        "context": 1048576,
        "intermediate": 16384,
        "experts": 128,
        "dense": 24,
    },
    "ibm-granite/granite-3.1-8b-instruct": _GRANITE,
    "ibm-granite/granite-3.2-8b-instruct": _GRANITE,
}


def main() -> None:
    package = open_wheel(PACKAGE)
    rows = {}
    for name, published in {**{name: name for name in MODELS}, **PLAIN}.items():
        own = _read_config(package, published)
        if published != name:
            own["quantization_config"] = None
        row = parse_model_config(own, name, SOURCE.format(published.replace("/", "--")))
        assert row is not None, name
        rows[name] = msgspec.structs.replace(row, names=(name, *MODELS.get(name, ())))
    for name, (base, other) in QUANTIZED.items():
        place = {HUB: HUB + name, SOURCE: SOURCE.format(name.replace("/", "--"))}
        told = {**other, "source": place.get(other["source"], other["source"])}
        rows[name] = msgspec.structs.replace(rows[base], **{"names": (name,), "block": 0, **told})
    for row in _read_litgpt():
        rows[row.names[0]] = row
    for base, name in AWQ.items():
        told = {"names": (name,), "stored": _AWQ, "source": HUB + name}
        rows[name] = msgspec.structs.replace(rows[base], **told)
    for name, config in PUBLISHED.items():
        rows[name] = msgspec.convert(config | {"names": (name,), "source": HUB + name}, Model)
    TARGET.write_text("[\n" + ",\n".join(f"  {_format_row(row)}" for row in rows.values()) + "\n]\n")


def _read_config(package: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """A model's `config.json`, with ModelOpt's `hf_quant_config.json` in it if it says nothing itself."""
    path = f"{FOLDER}/{name.replace('/', '--')}"
    config: dict[str, Any] = json.loads(package.read(f"{path}_config.json"))
    quantized = f"{path}_hf_quant_config.json"
    if quantized in package.namelist() and not config.get("quantization_config"):
        config["quantization_config"] = json.loads(package.read(quantized))["quantization"]
    return config


def _read_litgpt() -> Iterator[Model]:
    """The rows of litgpt's configurations. A module of its own, which imports nothing else of litgpt."""
    module = ModuleType("litgpt_config")
    sys.modules[module.__name__] = module  # its dataclasses look there
    exec(open_wheel(LITGPT).read("litgpt/config.py"), module.__dict__)
    published = {f"{each['hf_config']['org']}/{each['hf_config']['name']}": each for each in module.configs}
    for name, (others, told) in DENSE.items():
        config = module.Config(**published[name])
        assert (config.mlp_class_name in ("LLaMAMLP", "GemmaMLP")) == ("matrices" not in told), name
        row = {
            "names": (name, *others),
            "layers": config.n_layer,
            "hidden": config.n_embd,
            "heads": config.n_head,
            "kv_heads": config.n_query_groups,
            "head_size": config.head_size,
            "vocabulary": config.padded_vocab_size,
            "context": config.block_size,
            "intermediate": config.intermediate_size,
            "window": config.sliding_window_size or 0,
            "windowed": sum((config.sliding_window_indices or [])[: config.n_layer]),
            "source": LITGPT_SOURCE,
        }
        yield msgspec.convert(row | told, Model)


def _format_row(model: Model) -> str:
    defaults = {f.name: f.default for f in msgspec.structs.fields(Model)}
    kept = {k: v for k, v in msgspec.structs.asdict(model).items() if v != defaults[k]}
    return json.dumps(msgspec.to_builtins(kept))


if __name__ == "__main__":
    main()
