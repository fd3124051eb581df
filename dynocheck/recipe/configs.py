"""Reads the `config.json` of a model in a recipe, and the index of its weights.

The formats: https://huggingface.co/docs/transformers/main_classes/configuration, and for
`model.safetensors.index.json` https://huggingface.co/docs/safetensors/metadata_parsing.
"""

import errno
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dynocheck.facts import AdapterConfig, ModelConfig, Problem
from dynocheck.recipe.files import escape_path, read_text

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
QUANTIZED = "hf_quant_config.json"  # written by ModelOpt
ADAPTER = "adapter_config.json"  # written by PEFT
_DEEPEST = 50
_LARGEST = 2**50  # bytes: more than any checkpoint


def read_model_config(folder: Path, leaves: Collection[str], scope: str) -> ModelConfig | None:
    """Read the model configuration in a folder; None if there is none.

    A `config.json` without `architectures` and `model_type` is not a model's.

    :param leaves: the names of the folder's files.
    :param scope: the folder whose graphs may use the model.
    """
    if CONFIG not in leaves:
        return None
    problems: list[tuple[str, Problem]] = []

    def read(name: str) -> dict[str, Any]:
        contents, problem = _read_mapping(folder / name) if name in leaves else ({}, None)
        problems.extend([(escape_path(folder / name), problem)] if problem is not None else [])
        return contents

    config = read(CONFIG)
    if not (problems or "architectures" in config or "model_type" in config):
        return None
    quantized = read(QUANTIZED).get("quantization")
    if isinstance(quantized, dict) and not config.get("quantization_config"):
        config["quantization_config"] = {"quant_method": "modelopt", **quantized}
    metadata = read(INDEX).get("metadata")
    size = _parse_size(metadata.get("total_size")) if isinstance(metadata, dict) else None
    return ModelConfig(
        file=escape_path(folder / CONFIG),
        scope=scope,
        config=config,
        checkpoint=size,
        problems=tuple(problems),
    )


def read_adapter_config(folder: Path, leaves: Collection[str]) -> AdapterConfig | None:
    """The LoRA adapter in a folder; None if there is none, or its rank cannot be read."""
    contents = _read_mapping(folder / ADAPTER)[0] if ADAPTER in leaves else {}
    rank = contents.get("r")
    return AdapterConfig(folder.name, rank) if isinstance(rank, int) and 0 < rank < _LARGEST else None


def _parse_number(digits: str) -> int | float:
    """An integer, or a float if it has more digits than a snapshot can hold."""
    return int(digits) if len(digits) < 19 else float(digits)


def _measure_depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        inner = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list)))
        level = [value for values in inner for value in values]
        depth += 1
    return depth


def _parse_size(number: object) -> int | None:
    """A number of bytes; None if it is invalid."""
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return None
    return int(number) if 0 < number < _LARGEST else None


def _read_mapping(path: Path) -> tuple[dict[str, Any], Problem | None]:
    """The contents of a file, or its error."""
    try:
        contents = json.loads(read_text(path), parse_int=_parse_number)
    except json.JSONDecodeError as error:
        return {}, Problem(f"not JSON: {error.msg}", error.lineno, error.colno)
    except UnicodeDecodeError:
        return {}, Problem("not UTF-8 text")
    except RecursionError:
        return {}, Problem("nested too deeply")
    except OSError as error:
        if path.name == INDEX and error.errno == errno.EFBIG:
            return {}, None  # the index of a model with very many experts is that large
        return {}, Problem(error.strerror or type(error).__name__)
    if not isinstance(contents, dict):
        return {}, None if path.name == CONFIG else Problem("not a JSON object", 1, 1)
    if path.name != INDEX and _measure_depth(contents) > _DEEPEST:
        return {}, Problem("nested too deeply")
    return contents, None
