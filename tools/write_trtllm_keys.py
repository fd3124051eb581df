"""Makes dynocheck/data/trtllm_keys.json: the known keys of TensorRT-LLM's YAML file.

    python -m tools.write_trtllm_keys CHECKOUT...

PyPI has no wheels of TensorRT-LLM, so its repository names them: a manifest of the settings that are numbers,
switches or choices, at every depth, and the parameters of its LLM class. Both are united over all checkouts:
the table says that some version has a key, not which one.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "trtllm_keys.json"
_MANIFEST = "tensorrt_llm/usage/llm_args_golden_manifest.json"
_PARAMETERS = "tests/unittest/api_stability/references*/llm.yaml"
# Settings below the top that are text or objects, from https://nvidia.github.io/TensorRT-LLM/llm-api/reference.html
# and from the recipes of ai-dynamo/dynamo.
_TEXTS = (
    "custom_tokenizer",
    "kv_cache_config.mamba_state_config",
    "kv_cache_config.mamba_state_config.additional_snapshot_offsets_from_end",
    "kv_cache_config.mamba_state_config.additional_snapshot_offsets_from_start",
    "kv_connector_config.connector_module",
    "kv_connector_config.connector_scheduler_class",
    "kv_connector_config.connector_worker_class",
    "lora_config.lora_dir",
    "lora_config.lora_target_modules",
    "lora_config.trtllm_modules_to_hf_modules",
    "moe_config.load_balancer",
    "speculative_config.speculative_model",
    "speculative_config.speculative_model_dir",
    "cache_transceiver_config.enable_pipelined_transfer",
    "cache_transceiver_config.kv_cache_bounce_size_mb",
)
# A setting that every version since 1.0 refuses, and that a checkout before it names.
_DROPPED = {"kv_cache_dtype"}


def read_paths(checkout: Path) -> Iterator[str]:
    """The dotted names of the settings that a checkout names."""
    manifest = json.loads((checkout / _MANIFEST).read_text())
    yield from (row["path"] for rows in manifest.values() for row in rows)
    for file in checkout.glob(_PARAMETERS):
        parameters = yaml.safe_load(file.read_text())["methods"]["__init__"]["parameters"]
        yield from (name for name in parameters if name != "kwargs")


def collect_sections(paths: set[str]) -> dict[str, list[str]]:
    """The keys of the top level, under an empty name, and of each mapping below it."""
    sections: dict[str, set[str]] = {}
    for path in paths:
        *above, key = path.split(".")
        for depth, name in enumerate((*above, key)):
            sections.setdefault(".".join(above[:depth]), set()).add(name)
    return {section: sorted(keys) for section, keys in sorted(sections.items())}


def main(checkouts: list[str]) -> None:
    paths = {path for checkout in checkouts for path in read_paths(Path(checkout))}
    TARGET.write_text(json.dumps(collect_sections((paths | {*_TEXTS}) - _DROPPED), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
