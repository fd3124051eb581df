"""vLLM under Dynamo.

Flags and their short forms: vLLM's EngineArgs. A `--config` file is read before the command line, which
wins. The world size of one engine is tensor x pipeline x prefill-context; data parallel ranks are whole
engines beside each other, all in the pods of one replica unless one rank is named or the balancing is
external, when each pod holds a single rank.
"""

from dynocheck.engines.arguments import Arguments, config_file, flags, from_file, is_complete
from dynocheck.engines.base import Engine, Parallelism
from dynocheck.facts.recipe import Container, Launch

_ALIASES = {
    "tp": "tensor-parallel-size",
    "tp-size": "tensor-parallel-size",
    "pp": "pipeline-parallel-size",
    "pp-size": "pipeline-parallel-size",
    "dp": "data-parallel-size",
    "dp-size": "data-parallel-size",
    "pcp": "prefill-context-parallel-size",
    "ep": "enable-expert-parallel",
    "dpn": "data-parallel-rank",
    "dpe": "data-parallel-external-lb",
    "dph": "data-parallel-hybrid-lb",
}


def arguments(container: Container, launch: Launch, file: str) -> Arguments:
    given = flags(launch, file, _ALIASES)
    config = config_file(container, given.get("config"))
    return Arguments(from_file(config, _ALIASES), given, complete=is_complete(launch))


def parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.integer(1, "tensor-parallel-size")
    pipeline = given.integer(1, "pipeline-parallel-size")
    data = given.integer(1, "data-parallel-size")
    context = given.integer(1, "prefill-context-parallel-size")
    if tensor is None or pipeline is None or data is None or context is None:
        return None
    alone = given.get("data-parallel-rank") is not None or given.on("data-parallel-external-lb")
    return Parallelism(tensor, pipeline, data, context, spread=not alone)


ENGINE = Engine("vllm", "dynamo.vllm", arguments, parallelism, ("model",))
