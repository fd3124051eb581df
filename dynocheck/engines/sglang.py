"""SGLang under Dynamo.

Options and their other spellings: SGLang's ServerArgs, whose parser takes abbreviations. The keys of a
`--config` file come before the command line, which wins; so do those of the section of `--disagg-config`
that `--disagg-config-key` names, which takes the place of that file. With `--enable-dp-attention` the data
parallel ranks are the tensor parallel ones; without it each is a server of its own, with GPUs of its own.
"""

from collections.abc import Mapping

import msgspec

from dynocheck.engines import flags
from dynocheck.engines.arguments import Argument, Arguments, find_config_file, parse_environment
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.facts.recipe.recipes import ConfigFile, Container, Launch, Value

_OPTIONS = {
    "tensor-parallel-size": ("--tensor-parallel-size", "--tp-size"),
    "pipeline-parallel-size": ("--pipeline-parallel-size", "--pp-size"),
    "pp-max-micro-batch-size": ("--pp-max-micro-batch-size",),
    "data-parallel-size": ("--data-parallel-size", "--dp-size"),
    "expert-parallel-size": ("--expert-parallel-size", "--ep-size", "--ep"),
    "enable-dp-attention": ("--enable-dp-attention",),
    "enable-dp-lm-head": ("--enable-dp-lm-head",),
    "model-path": ("--model-path", "--model"),
    "model-impl": ("--model-impl",),
    "model-loader-extra-config": ("--model-loader-extra-config",),
    "served-model-name": ("--served-model-name",),
    "nnodes": ("--nnodes",),
    "context-length": ("--context-length",),
    "cpu-offload-gb": ("--cpu-offload-gb",),
    "disaggregation-transfer-backend": ("--disaggregation-transfer-backend",),
    "json-model-override-args": ("--json-model-override-args",),
    "kv-cache-dtype": ("--kv-cache-dtype",),
    "kv-events-config": ("--kv-events-config",),
    "load-format": ("--load-format",),
    "mem-fraction-static": ("--mem-fraction-static",),
    "page-size": ("--page-size",),
    "quantization": ("--quantization",),
    "torchao-config": ("--torchao-config",),
    "disable-radix-cache": ("--disable-radix-cache",),
    "config": ("--config",),
    "disagg-config": ("--disagg-config",),
    "disagg-config-key": ("--disagg-config-key",),
}
_ALTERING = ("cpu-offload-gb", "json-model-override-args", "load-format", "torchao-config")
_SPELLINGS = flags.FlagSpellings({spelled: name for name, all_ in _OPTIONS.items() for spelled in all_})


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    given, complete = _read_flags(container, launch, file)
    if _find_path(given) is None:
        return Arguments(given, complete=complete)
    found = _find_keys_file(container, given)
    words = flags.expand_config(found.root) if found is not None else None
    if words is None or found is None:
        return Arguments(given, complete=False)
    # Its keys are options by the parser's own names for them, which have underscores.
    below = flags.parse_command_line(
        words, found.file, flags.FlagSpellings(_SPELLINGS.options, underscores=True)
    )
    return Arguments(below.found, given, complete=complete and below.complete)


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    return _find_keys_file(container, _read_flags(container, launch, "").found)


def _read_flags(container: Container, launch: Launch, file: str) -> flags.ParsedFlags:
    section = ("disagg-config", "disagg-config-key")
    variables = parse_environment((*container.env, *launch.env), file, section, "DYN_SGL_")
    found, complete = flags.parse_command_line(launch.words, file, _SPELLINGS)
    return flags.ParsedFlags(variables | flags.drop_unread_config(found, launch.words), complete)


def _find_path(given: Mapping[str, Argument]) -> Argument | None:
    path = given.get("disagg-config") if "disagg-config-key" in given else None
    return path or given.get("config")


def _find_keys_file(container: Container, given: Mapping[str, Argument]) -> ConfigFile | None:
    """The file of keys, its root the section of it that counts."""
    path = _find_path(given)
    found = find_config_file(container, path) if path is not None else None
    if path is None or found is None or path.name != "disagg-config":
        return found
    return msgspec.structs.replace(found, root=_select_section(found.root, given["disagg-config-key"]))


def _select_section(root: Value | None, key: Argument) -> Value | None:
    return root.get(key.value) if root is not None and isinstance(key.value, str) else None


def compute_parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.size("tensor-parallel-size")
    pipeline = given.size("pipeline-parallel-size")
    data = given.size("data-parallel-size")
    shares = given.is_enabled("enable-dp-attention")
    if tensor is None or pipeline is None or data is None or shares is None or not given.complete:
        return None
    if given.size("nnodes") != 1:
        return None  # the other nodes are components of their own
    return Parallelism(tensor, pipeline, data, spread=not shares)


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
        longest=longest.integer if longest else None,
        quantization=given.text("quantization", ""),
    )


ENGINE = Engine(
    "sglang",
    "dynamo.sglang",
    read_arguments,
    compute_parallelism,
    compute_budget,
    find_keys_file,
    ("model-path",),
)
