"""TensorRT-LLM under Dynamo.

Every option of Dynamo's parser, which takes abbreviations, has a `DYN_TRTLLM_` variable. The YAML file of
`--extra-engine-args` wins over the options; the JSON of `--override-engine-args`, or `--trtllm.NAME VALUE`,
wins over that file. Attention data parallelism uses the tensor
parallel ranks.
"""

from dynocheck.engines.arguments import (
    Argument,
    Arguments,
    ParsedFlags,
    find_config_file,
    parse_command_line,
    parse_config_keys,
    parse_environment,
)
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.command_line import find_parsers
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.facts import ConfigFile, Container, Launch

_MODULE = "dynamo.trtllm"
_NAMES = {"publish-events-and-metrics": "publish-kv-events"}  # options whose name changed with a release
KEYS = {"moe_expert_parallel_size": "expert-parallel-size"}
"""Keys of its file that its parser has by another name."""
_MODEL_NAMES = ("model", "served-model-name")  # that Dynamo registers, whatever the engine is told
_DYNAMIC = "trtllm."
_DEFAULT_FREE = 0.9  # KvCacheConfig.free_gpu_memory_fraction
_ALTERING = ("quant-config", "model-kwargs", "load-format", "override-engine-args")


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    """The arguments from the command line, its variables and the file that it names."""
    flags, complete = _read_flags(container, launch, file)
    entries: dict[str, Argument] | None = {}
    path = flags.get("extra-engine-args")
    if path is not None and path.value != "":
        config = find_config_file(container, path)
        entries = parse_config_keys(config.root, config.file, KEYS) if config is not None else None
    overrides = _parse_overrides(flags.get("override-engine-args"))
    complete = complete and entries is not None and overrides is not None
    engine = {**(entries or {}), **(overrides or {}), **_parse_dynamic(flags)}
    own = {name: argument for name, argument in engine.items() if name not in _MODEL_NAMES}
    return Arguments(flags, own, complete=complete)


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    """The file that `--extra-engine-args` names."""
    flags = _read_flags(container, launch, "").arguments
    return find_config_file(container, flags.get("extra-engine-args"))


def _read_flags(container: Container, launch: Launch, file: str) -> ParsedFlags:
    parsers = find_parsers(_MODULE, container.image)
    options = {flag.names[0].lstrip("-") for flag in parsers[0].by_name.values()}
    variables = parse_environment((*container.env, *launch.env), file, sorted(options), "DYN_TRTLLM_", _NAMES)
    flags, complete = parse_command_line(launch, file, parsers, _NAMES)
    return ParsedFlags(variables | flags, complete)


def compute_parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.size("tensor-parallel-size")
    pipeline = given.size("pipeline-parallel-size")
    context = given.size("context-parallel-size")
    if tensor is None or pipeline is None or context is None or not given.complete or _deploys_itself(given):
        return None
    return Parallelism(tensor, pipeline, context=context)


def _deploys_itself(given: Arguments) -> bool:
    """Whether it is AutoDeploy, which shards over `world_size` as it finds best."""
    return given.text("backend", "") in (None, "_autodeploy")


def compute_budget(given: Arguments) -> MemoryBudget | None:
    tensor, pipeline = given.size("tensor-parallel-size"), given.size("pipeline-parallel-size")
    context, shares = given.size("context-parallel-size"), given.is_enabled("enable-attention-dp")
    longest = given.get("max-seq-len")
    cache = given.get("kv-cache-config")
    parts = (cache.entries or {}) if cache else {}
    free = parse_share(given.get("free-gpu-memory-fraction"), _DEFAULT_FREE)
    if tensor is None or pipeline is None or context != 1 or shares is None or free is None:
        return None
    if given.get(*_ALTERING) or given.has_prefix(_DYNAMIC) or not given.complete or _deploys_itself(given):
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
        (name := KEYS.get(key, key.replace("_", "-"))): _derive_argument(given, name, value)
        for key, value in given.entries.items()
    }


def _parse_dynamic(found: dict[str, Argument]) -> dict[str, Argument]:
    """What `--trtllm.NAME VALUE` says of the engine itself; deeper names are its parts'."""
    keys = {
        key.removeprefix(_DYNAMIC): argument for key, argument in found.items() if key.startswith(_DYNAMIC)
    }
    return {
        (name := KEYS.get(key, key.replace("_", "-"))): _derive_argument(argument, name, argument.value)
        for key, argument in keys.items()
        if "." not in key
    }


def _derive_argument(given: Argument, name: str, value: object) -> Argument:
    return Argument(name, value, given.file, given.line, given.column, given.known)


ENGINE = Engine(
    "trtllm", (_MODULE,), read_arguments, compute_parallelism, compute_budget, find_keys_file, ("model",)
)
