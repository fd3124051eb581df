"""TensorRT-LLM under Dynamo.

Flags, each with a `DYN_TRTLLM_` variable behind it: Dynamo's TensorRT-LLM argument group. The YAML file of
`--extra-engine-args` overrides the flags, and `--override-engine-args` overrides that file. Attention data
parallelism uses the tensor parallel ranks.
"""

import ast
from typing import Any

from dynocheck.engines.arguments import (
    Argument,
    Arguments,
    config_file,
    flags,
    from_environment,
    from_file,
    is_complete,
)
from dynocheck.engines.base import Engine, Parallelism
from dynocheck.facts.recipe import Container, Launch

_ALIASES = {
    "model-path": "model",
    "moe-expert-parallel-size": "expert-parallel-size",
    "publish-events-and-metrics": "publish-kv-events",
}
_VARIABLES = (
    "model",
    "served-model-name",
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "expert-parallel-size",
    "enable-attention-dp",
    "extra-engine-args",
    "override-engine-args",
    "disaggregation-mode",
    "publish-kv-events",
)
_MODEL_FLAGS = {"model", "served-model-name"}


def arguments(container: Container, launch: Launch, file: str) -> Arguments:
    given = {
        **from_environment(container, file, _VARIABLES, "DYN_TRTLLM_"),
        **flags(launch, file, _ALIASES),
    }
    path = given.get("extra-engine-args")
    config = config_file(container, path)
    engine_yaml = {k: v for k, v in from_file(config, _ALIASES).items() if k not in _MODEL_FLAGS}
    readable = path is None or config is not None
    overrides = _overrides(given.get("override-engine-args"))
    return Arguments(given, engine_yaml, overrides, complete=is_complete(launch) and readable)


def parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.integer(1, "tensor-parallel-size")
    pipeline = given.integer(1, "pipeline-parallel-size")
    context = given.integer(1, "context-parallel-size")
    if tensor is None or pipeline is None or context is None or not given.complete:
        return None
    return Parallelism(tensor, pipeline, context=context)


def _overrides(given: Argument | None) -> dict[str, Argument]:
    """The entries of a dictionary written as Python or JSON; none when it cannot be read."""
    if given is None or not isinstance(given.value, str):
        return {}
    try:
        parsed: Any = ast.literal_eval(given.value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    if not isinstance(parsed, dict):
        return {}
    return {
        (name := str(key).replace("_", "-")): Argument(name, value, given.file, given.line, given.column)
        for key, value in parsed.items()
    }


ENGINE = Engine("trtllm", "dynamo.trtllm", arguments, parallelism, ("model",))
