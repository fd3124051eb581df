"""SGLang under Dynamo.

SGLang's parser takes abbreviations. The command line wins over the keys of the `--config` file, or of the
section of `--disagg-config` that `--disagg-config-key` names, which replaces that file. With
`--enable-dp-attention` the data parallel ranks are the tensor parallel ones; without it each is a server of
its own, with its own GPUs.
"""

from collections.abc import Mapping

import msgspec

from dynocheck.engines.arguments import (
    Argument,
    Arguments,
    ParsedFlags,
    find_config_file,
    parse_command_line,
    parse_environment,
)
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.command_line import find_parsers
from dynocheck.engines.config_file import read_config_arguments
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.engines.numbers import parse_length
from dynocheck.facts import ConfigFile, Container, Launch, Value

_MODULE = "dynamo.sglang"
_SERVER = "sglang serve"
# Options whose first name changed with a release.
_NAMES = {
    "tp-size": "tensor-parallel-size",
    "pp-size": "pipeline-parallel-size",
    "dp-size": "data-parallel-size",
    "ep-size": "expert-parallel-size",
    "moe-data-parallel-size": "moe-dp-size",
}
_ALTERING = ("cpu-offload-gb", "json-model-override-args", "load-format", "torchao-config")


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    """The arguments from the command line and from the file that it names."""
    flags, complete = _read_flags(container, launch, file)
    if _find_path(flags) is None:
        return Arguments(flags, complete=complete)
    engine = find_parsers(launch.module, container.image)[-1]
    below = read_config_arguments(launch.module, _find_keys_file(container, flags), engine, _NAMES)
    if below is None:
        return Arguments(flags, complete=False)
    return Arguments(below.arguments, flags, complete=complete and below.complete)


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    """The file that `--config` or `--disagg-config` names, its root the section that counts."""
    return _find_keys_file(container, _read_flags(container, launch, "").arguments)


def _read_flags(container: Container, launch: Launch, file: str) -> ParsedFlags:
    section = ("disagg-config", "disagg-config-key")
    variables = parse_environment((*container.env, *launch.env), file, section, "DYN_SGL_", {})
    flags, complete = parse_command_line(launch, file, find_parsers(launch.module, container.image), _NAMES)
    return ParsedFlags(variables | flags, complete)


def _find_path(flags: Mapping[str, Argument]) -> Argument | None:
    path = flags.get("disagg-config") if "disagg-config-key" in flags else None
    return path or flags.get("config")


def _find_keys_file(container: Container, flags: Mapping[str, Argument]) -> ConfigFile | None:
    path = _find_path(flags)
    config = find_config_file(container, path)
    if path is None or config is None or path.name != "disagg-config":
        return config
    return msgspec.structs.replace(config, root=_select_section(config.root, flags["disagg-config-key"]))


def _select_section(root: Value | None, key: Argument) -> Value | None:
    return root.get(key.value) if root is not None and isinstance(key.value, str) else None


def compute_parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.size("tensor-parallel-size")
    pipeline = given.size("pipeline-parallel-size")
    data = given.size("data-parallel-size")
    shares = given.is_enabled("enable-dp-attention")
    if tensor is None or pipeline is None or data is None or shares is None or not given.complete:
        return None
    nodes = given.size("nnodes")
    return Parallelism(tensor, pipeline, data, spread=not shares, nodes=nodes) if nodes else None


def compute_budget(given: Arguments) -> MemoryBudget | None:
    tensor, pipeline = given.size("tensor-parallel-size"), given.size("pipeline-parallel-size")
    data, shares = given.size("data-parallel-size"), given.is_enabled("enable-dp-attention")
    static = parse_share(given.get("mem-fraction-static"), 1.0)  # it chooses one by itself
    longest = given.get("context-length")
    if tensor is None or pipeline is None or data is None or shares is None or static is None:
        return None
    if given.get(*_ALTERING) or not given.complete:
        return None
    attention = max(1, tensor // data) if shares else tensor
    return MemoryBudget(
        Sharding(tensor, attention, tensor, pipeline),
        static=static,
        cache=given.text("kv-cache-dtype", "auto"),
        longest=parse_length(longest.value, "sglang") if longest else None,
        quantization=given.text("quantization", ""),
    )


ENGINE = Engine(
    "sglang",
    (_MODULE, _SERVER),
    read_arguments,
    compute_parallelism,
    compute_budget,
    find_keys_file,
    ("model-path",),
)
