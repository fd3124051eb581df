"""vLLM under Dynamo.

vLLM's parser takes underscores for hyphens, abbreviations, and JSON in dotted pieces. The command line wins
over the file of `--config`, and that over the one of `--engine-config-json`. The world size of one engine is
tensor x pipeline x prefill-context. Data parallel ranks are whole engines, all in the pods of one replica
unless `--data-parallel-rank` or external load balancing puts a single rank into each pod.
"""

from dynocheck.engines.arguments import (
    Argument,
    Arguments,
    find_config_file,
    parse_command_line,
    parse_config_keys,
)
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.command_line import find_model_word, find_parsers
from dynocheck.engines.config_file import read_config_arguments
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.engines.numbers import parse_length
from dynocheck.facts import ConfigFile, Container, Launch

_MODULE = "dynamo.vllm"
_SERVER = "vllm serve"
_HIGHEST_DEFAULT = 0.92  # of gpu-memory-utilization: 0.9 before vLLM 0.20
_ALTERING = ("cpu-offload-gb", "kv-cache-memory-bytes")
# Ways to load a checkpoint as it is stored: vLLM's config/load.py.
_FILES = ("auto", "hf", "safetensors", "fastsafetensors", "instanttensor", "mistral", "pt", "npcache")
_LOADERS = {*_FILES, "runai_streamer", "modelexpress"}
_POSITIONS = {"rope_scaling", "rope_parameters", "rope_theta", "max_position_embeddings"}


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    """The arguments from the command line and from the files that it names."""
    parsers = find_parsers(launch.module, container.image)
    flags, complete = parse_command_line(launch, file, parsers, {}, flexible=True)
    model = find_model_word(launch, parsers)
    if model is not None:
        flags["model"] = Argument("model", model.text, file, model.line, model.column)
    sources = [flags]
    if "config" in flags:
        config = find_config_file(container, flags["config"])
        below = read_config_arguments(launch.module, config, parsers[-1], {})
        sources.insert(0, below.arguments if below is not None else {})
        complete = complete and below is not None and below.complete
    if "engine-config-json" in flags:
        config = find_config_file(container, flags["engine-config-json"])
        entries = parse_config_keys(config.root, config.file, {}) if config is not None else None
        sources.insert(0, entries or {})
        complete = complete and entries is not None
    return Arguments(*sources, complete=complete)


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    """The file that `--config` names."""
    parsers = find_parsers(launch.module, container.image)
    flags = parse_command_line(launch, "", parsers, {}, flexible=True).arguments
    return find_config_file(container, flags.get("config"))


def compute_parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.size("tensor-parallel-size")
    pipeline = given.size("pipeline-parallel-size")
    data = given.size("data-parallel-size")
    context = given.size("prefill-context-parallel-size")
    local = given.get("data-parallel-size-local")
    external = given.is_enabled("data-parallel-external-lb")
    alone = external or given.get("data-parallel-rank") is not None
    part = local is not None and local.integer != data  # the other ranks run in pods of other components
    elsewhere = given.is_enabled("data-parallel-multi-port-external-lb") is not False
    nodes = given.size("nnodes")
    if tensor is None or pipeline is None or data is None or context is None or not given.complete:
        return None
    if external is None or elsewhere or (part and not alone) or not nodes or (nodes > 1 and data > 1):
        return None
    return Parallelism(tensor, pipeline, data, context, spread=not alone, nodes=nodes)


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
    if given.text("load-format", "auto") not in _LOADERS:
        return None
    if overrides is not None and (longest is None or not set(overrides.entries or {"?": 0}) <= _POSITIONS):
        return None
    return MemoryBudget(
        Sharding(tensor, tensor, tensor * context * data, pipeline, decode),
        static=static,
        cache=given.text("kv-cache-dtype", "auto"),
        longest=parse_length(longest.value, "vllm") if longest else None,
        adapts=longest is not None and str(longest.value) in ("-1", "auto"),
        quantization=given.text("quantization", ""),
    )


ENGINE = Engine(
    "vllm",
    (_MODULE, _SERVER),
    read_arguments,
    compute_parallelism,
    compute_budget,
    find_keys_file,
    ("model",),
)
