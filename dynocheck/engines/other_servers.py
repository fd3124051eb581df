"""TGI and trtllm-serve, which Dynamo does not start.

TGI's launcher takes each flag from a variable too; a flag wins. Without --num-shard it takes every GPU that
it sees. trtllm-serve splits as TensorRT-LLM does; its YAML file wins over its flags.
"""

from dynocheck.engines import trtllm
from dynocheck.engines.arguments import (
    Argument,
    Arguments,
    find_config_file,
    parse_command_line,
    parse_config_keys,
    parse_environment,
)
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.command_line import find_model_word, find_parsers
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.facts import ConfigFile, Container, Launch

_LAUNCHER = "text-generation-launcher"
_TRTLLM = "trtllm-serve"
_NAMES = {
    "tp-size": "tensor-parallel-size",
    "pp-size": "pipeline-parallel-size",
    "ep-size": "expert-parallel-size",
    "kv-cache-free-gpu-memory-fraction": "free-gpu-memory-fraction",
    "free-gpu-memory-fraction": "free-gpu-memory-fraction",
}
_FILES = ("config", "extra-llm-api-options")
_OTHER_COMMANDS = ("disaggregated", "disaggregated_mpi_worker", "mm_embedding_serve")


def _read_tgi(container: Container, launch: Launch, file: str) -> Arguments:
    parsers = find_parsers(_LAUNCHER, container.image)
    names = sorted({name.lstrip("-") for parser in parsers for name in parser.by_name})
    variables = parse_environment((*container.env, *launch.env), file, names, "", {})
    flags, complete = parse_command_line(launch, file, parsers, {})
    return Arguments(variables, flags, complete=complete)


def _split_tgi(given: Arguments) -> Parallelism | None:
    shards = given.size("num-shard")
    alone = given.get("sharded")
    if shards is None or not given.complete or (alone is not None and not alone.known):
        return None
    return Parallelism(1 if alone is not None and alone.value in (False, "false") else shards)


def _compute_tgi_budget(given: Arguments) -> MemoryBudget | None:
    """TGI's own number of sequences follows from the memory that it finds. Without --num-shard it depends on
    the GPUs that it sees.
    """
    split = _split_tgi(given)
    share = parse_share(given.get("cuda-memory-fraction"), 1.0)
    if split is None or share is None or given.get("num-shard", "sharded") is None:
        return None
    shards = split.tensor
    return MemoryBudget(
        Sharding(shards, shards, shards),
        static=share,
        adapts=True,
        quantization=given.text("quantize", ""),
    )


def _read_trtllm(container: Container, launch: Launch, file: str) -> Arguments:
    flags, complete = parse_command_line(launch, file, (), {}, flexible=True)
    flags = {_NAMES.get(name, name): argument for name, argument in flags.items()}
    word = find_model_word(launch, ())
    if word is not None and word.text == "serve":
        word = launch.words[1] if len(launch.words) > 1 else None
    if word is not None:
        flags["model"] = Argument("model", word.text, file, word.line, word.column)
        complete = complete and word.text not in _OTHER_COMMANDS
    named = next((flags[name] for name in _FILES if name in flags), None)
    config = find_config_file(container, named)
    keys = parse_config_keys(config.root, config.file, trtllm.KEYS) if config is not None else None
    return Arguments(flags, keys or {}, complete=complete and (named is None or keys is not None))


def _find_trtllm_file(container: Container, launch: Launch) -> ConfigFile | None:
    flags = parse_command_line(launch, "", (), {}, flexible=True).arguments
    return find_config_file(container, next((flags[name] for name in _FILES if name in flags), None))


TGI = Engine(
    "tgi",
    (_LAUNCHER,),
    _read_tgi,
    _split_tgi,
    _compute_tgi_budget,
    lambda container, launch: None,
    ("model-id",),
)
TRTLLM = Engine(
    _TRTLLM,
    (_TRTLLM,),
    _read_trtllm,
    trtllm.compute_parallelism,
    trtllm.compute_budget,
    _find_trtllm_file,
    ("model",),
)
