"""TensorRT-LLM under Dynamo.

Options, each with a `DYN_TRTLLM_` variable behind it: Dynamo's TensorRT-LLM argument group, whose parser
takes abbreviations. The YAML file of `--extra-engine-args` overrides the options, and over that file goes
`--override-engine-args`, in JSON, or `--trtllm.NAME VALUE`. Attention data parallelism uses the tensor
parallel ranks.
"""

from dynocheck.engines import flags
from dynocheck.engines.arguments import (
    Argument,
    Arguments,
    find_config_file,
    parse_config_keys,
    parse_environment,
)
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.facts.recipe.recipes import ConfigFile, Container, Launch

_NAMES = (
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
    "modality",
    "model-loader-extra-config",
    "free-gpu-memory-fraction",
    "kv-block-size",
    "max-batch-size",
    "max-num-tokens",
    "max-seq-len",
)
_OLD_NAMES = {
    "--model-path": "model",
    "--publish-events-and-metrics": "publish-kv-events",
}
_SPELLINGS = flags.FlagSpellings({f"--{name}": name for name in _NAMES} | _OLD_NAMES)
_KEYS = {"moe_expert_parallel_size": "expert-parallel-size"}
_MODEL_NAMES = ("model", "served-model-name")  # that Dynamo registers, whatever the engine is told
_DYNAMIC = "trtllm."
_DEFAULT_FREE = 0.9  # KvCacheConfig.free_gpu_memory_fraction
_ALTERING = ("quant-config", "model-kwargs", "load-format", "override-engine-args")


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    given, complete = _read_flags(container, launch, file)
    engine_yaml: dict[str, Argument] | None = {}
    path = given.get("extra-engine-args")
    if path is not None and path.value != "":
        found = find_config_file(container, path)
        engine_yaml = parse_config_keys(found.root, found.file, _KEYS) if found is not None else None
        complete = complete and engine_yaml is not None
    overrides = _parse_overrides(given.get("override-engine-args"))
    complete = complete and overrides is not None
    engine = {**(engine_yaml or {}), **(overrides or {}), **_parse_dynamic(given)}
    told = {name: argument for name, argument in engine.items() if name not in _MODEL_NAMES}
    return Arguments(given, told, complete=complete)


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    path = _read_flags(container, launch, "").found.get("extra-engine-args")
    return find_config_file(container, path) if path is not None else None


def _read_flags(container: Container, launch: Launch, file: str) -> flags.ParsedFlags:
    variables = parse_environment((*container.env, *launch.env), file, _NAMES, "DYN_TRTLLM_")
    found, complete = flags.parse_command_line(launch.words, file, _SPELLINGS)
    return flags.ParsedFlags(variables | found, complete)


def compute_parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.size("tensor-parallel-size")
    pipeline = given.size("pipeline-parallel-size")
    context = given.size("context-parallel-size")
    if tensor is None or pipeline is None or context is None or not given.complete:
        return None
    return Parallelism(tensor, pipeline, context=context)


def compute_budget(given: Arguments) -> MemoryBudget | None:
    tensor, pipeline = given.size("tensor-parallel-size"), given.size("pipeline-parallel-size")
    context, shares = given.size("context-parallel-size"), given.is_enabled("enable-attention-dp")
    longest = given.get("max-seq-len")
    cache = given.get("kv-cache-config")
    parts = (cache.entries or {}) if cache else {}
    free = parse_share(given.get("free-gpu-memory-fraction"), _DEFAULT_FREE)
    if tensor is None or pipeline is None or context != 1 or shares is None or free is None:
        return None
    if given.get(*_ALTERING) or given.has_prefix(_DYNAMIC) or not given.complete:
        return None
    told = parts.get("free_gpu_memory_fraction")
    if isinstance(told, int | float) and 0 < told <= 1:
        free = float(told)
    elif cache is not None:
        free = max(free, _DEFAULT_FREE)  # a file's kv_cache_config may take the flag's place as a whole
    return MemoryBudget(
        Sharding(tensor, 1 if shares else tensor, tensor, pipeline),
        free=free,
        cache=str(parts.get("dtype", "auto")),
        longest=longest.integer if longest else None,
    )


def _parse_overrides(given: Argument | None) -> dict[str, Argument] | None:
    """The entries of a JSON object; None when it cannot be read."""
    if given is None or given.value == "":
        return {}
    if given.entries is None:
        return None
    return {
        (name := _KEYS.get(key, key.replace("_", "-"))): _derive_argument(given, name, value)
        for key, value in given.entries.items()
    }


def _parse_dynamic(found: dict[str, Argument]) -> dict[str, Argument]:
    """What `--trtllm.NAME VALUE` says of the engine itself; deeper names are its parts'."""
    keys = {
        key.removeprefix(_DYNAMIC): argument for key, argument in found.items() if key.startswith(_DYNAMIC)
    }
    return {
        (name := _KEYS.get(key, key.replace("_", "-"))): _derive_argument(argument, name, argument.value)
        for key, argument in keys.items()
        if "." not in key
    }


def _derive_argument(given: Argument, name: str, value: object) -> Argument:
    return Argument(name, value, given.file, given.line, given.column, given.known)


ENGINE = Engine(
    "trtllm", "dynamo.trtllm", read_arguments, compute_parallelism, compute_budget, find_keys_file, ("model",)
)
