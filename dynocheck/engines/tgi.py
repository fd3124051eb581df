"""Text Generation Inference (TGI).

Its launcher takes each flag from a variable too; a flag wins. Without --num-shard it takes every GPU that it
sees.
"""

from dynocheck.engines.arguments import Arguments, parse_command_line, parse_environment
from dynocheck.engines.base import Engine, Parallelism, parse_share
from dynocheck.engines.command_line import find_parsers
from dynocheck.engines.memory import MemoryBudget, Sharding
from dynocheck.facts import Container, Launch

_PROGRAM = "text-generation-launcher"


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    parsers = find_parsers(_PROGRAM, container.image)
    names = sorted({name.lstrip("-") for parser in parsers for name in parser.by_name})
    variables = parse_environment((*container.env, *launch.env), file, names, "", {})
    flags, complete = parse_command_line(launch, file, parsers, {})
    return Arguments(variables, flags, complete=complete)


def compute_parallelism(given: Arguments) -> Parallelism | None:
    shards = given.size("num-shard")
    alone = given.get("sharded")
    if shards is None or not given.complete or (alone is not None and not alone.known):
        return None
    return Parallelism(1 if alone is not None and alone.value in (False, "false") else shards)


def compute_budget(given: Arguments) -> MemoryBudget | None:
    """TGI's own number of sequences follows from the memory that it finds. Without --num-shard it depends on
    the GPUs that it sees.
    """
    split = compute_parallelism(given)
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


ENGINE = Engine(
    "tgi",
    (_PROGRAM,),
    read_arguments,
    compute_parallelism,
    compute_budget,
    lambda container, launch: None,
    ("model-id",),
)
