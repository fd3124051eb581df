"""vLLM under Dynamo.

Options and their short forms: vLLM's EngineArgs, whose parser takes underscores for hyphens, abbreviations,
and JSON in dotted pieces. What wins: `--engine-config-json`, over it a `--config` file, over both the command
line. The world size of one engine is tensor x pipeline x prefill-context; data parallel ranks are whole
engines beside each other, all in the pods of one replica unless one rank is named or the balancing is
external, when each pod holds a single rank.
"""

from dynocheck.engines import flags
from dynocheck.engines.arguments import Arguments, find_config_file, parse_config_keys
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.facts.recipe.recipes import ConfigFile, Container, Launch

_SHORT = {
    "tensor-parallel-size": "-tp",
    "pipeline-parallel-size": "-pp",
    "data-parallel-size": "-dp",
    "data-parallel-size-local": "-dpl",
    "data-parallel-rank": "-dpn",
    "data-parallel-start-rank": "-dpr",
    "data-parallel-address": "-dpa",
    "data-parallel-rpc-port": "-dpp",
    "data-parallel-backend": "-dpb",
    "data-parallel-external-lb": "-dpe",
    "data-parallel-hybrid-lb": "-dph",
    "data-parallel-multi-port-external-lb": "-dpm",
    "prefill-context-parallel-size": "-pcp",
    "decode-context-parallel-size": "-dcp",
    "enable-expert-parallel": "-ep",
    "nnodes": "-n",
    "node-rank": "-r",
    "quantization": "-q",
}
_LONG = (
    "block-size",
    "cpu-offload-gb",
    "gpu-memory-utilization",
    "hf-overrides",
    "kv-cache-dtype",
    "kv-cache-memory-bytes",
    "kv-events-config",
    "kv-transfer-config",
    "load-format",
    "max-model-len",
    "enable-prefix-caching",
    "model",
    "model-impl",
    "model-loader-extra-config",
    "served-model-name",
    "config",
    "engine-config-json",
)
_HIGHEST_DEFAULT = 0.92  # of gpu-memory-utilization: 0.9 before vLLM 0.20
_ALTERING = ("cpu-offload-gb", "kv-cache-memory-bytes", "load-format")
_POSITIONS = {"rope_scaling", "rope_parameters", "rope_theta", "max_position_embeddings"}
_UNITS = {"k": 10**3, "m": 10**6, "K": 2**10, "M": 2**20}
_SPELLINGS = flags.FlagSpellings(
    {f"--{name}": name for name in (*_SHORT, *_LONG)} | {short: name for name, short in _SHORT.items()},
    underscores=True,
    dotted=True,
)


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    found, complete = flags.parse_command_line(launch.words, file, _SPELLINGS)
    given = flags.drop_unread_config(found, launch.words)
    sources = [given]
    for option in ("config", "engine-config-json"):
        path = given.get(option)
        if path is None:
            continue
        config = find_config_file(container, path)
        root = config.root if config is not None else None
        where = config.file if config is not None else file
        words = flags.expand_config(root) if option == "config" else None
        if words is not None:
            sources.insert(0, flags.parse_command_line(words, where, _SPELLINGS).found)
        else:
            entries = parse_config_keys(root, where, {}) if option != "config" else None
            sources.insert(0, entries or {})
            complete = complete and entries is not None
    return Arguments(*sources, complete=complete)


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    path = flags.drop_unread_config(
        flags.parse_command_line(launch.words, "", _SPELLINGS).found, launch.words
    ).get("config")
    return find_config_file(container, path) if path is not None else None


def compute_parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.size("tensor-parallel-size")
    pipeline = given.size("pipeline-parallel-size")
    data = given.size("data-parallel-size")
    context = given.size("prefill-context-parallel-size")
    local = given.get("data-parallel-size-local")
    external = given.is_enabled("data-parallel-external-lb")
    alone = external or given.get("data-parallel-rank") is not None
    part = local is not None and local.integer != data  # the other ranks run in pods of other components
    elsewhere = (
        given.size("nnodes") != 1 or given.is_enabled("data-parallel-multi-port-external-lb") is not False
    )
    if tensor is None or pipeline is None or data is None or context is None or not given.complete:
        return None
    if external is None or elsewhere or (part and not alone):
        return None
    return Parallelism(tensor, pipeline, data, context, spread=not alone)


def compute_budget(given: Arguments) -> MemoryBudget | None:
    tensor, pipeline = given.size("tensor-parallel-size"), given.size("pipeline-parallel-size")
    data, context = given.size("data-parallel-size"), given.size("prefill-context-parallel-size")
    decode = given.size("decode-context-parallel-size")
    static = parse_share(given.get("gpu-memory-utilization"), _HIGHEST_DEFAULT)
    longest = given.get("max-model-len")
    overrides = given.get("hf-overrides")
    if tensor is None or pipeline is None or data is None or context is None or decode is None:
        return None
    if static is None or given.get(*_ALTERING) or not given.complete:
        return None
    if overrides is not None and (longest is None or not set(overrides.entries or {"?": 0}) <= _POSITIONS):
        return None
    return MemoryBudget(
        Sharding(tensor, tensor, tensor * context * data, pipeline, decode),
        static=static,
        cache=given.text("kv-cache-dtype", "auto"),
        longest=_parse_length(longest.value) if longest else None,
        adapts=longest is not None and str(longest.value) in ("-1", "auto"),
        quantization=given.text("quantization", ""),
    )


def _parse_length(value: object) -> int | None:
    """A number of tokens, also as `16k` or `16K`."""
    text = str(value)
    unit = _UNITS.get(text[-1:], 1)
    number = text.rstrip("kKmM") if unit > 1 else text
    try:
        length = int(float(number) * unit)
    except (ValueError, OverflowError):
        return None
    return length if length > 0 else None


ENGINE = Engine(
    "vllm", "dynamo.vllm", read_arguments, compute_parallelism, compute_budget, find_keys_file, ("model",)
)
