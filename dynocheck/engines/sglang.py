"""SGLang under Dynamo.

Flags and their short forms: SGLang's ServerArgs. A `--config` file's keys come before the command line,
which wins. With `--enable-dp-attention` the data parallel ranks are the tensor parallel ones; without it
each rank is a server of its own, with GPUs of its own.
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
    "ep": "expert-parallel-size",
    "ep-size": "expert-parallel-size",
    "model": "model-path",
}


def arguments(container: Container, launch: Launch, file: str) -> Arguments:
    given = flags(launch, file, _ALIASES)
    config = config_file(container, given.get("config"))
    return Arguments(from_file(config, _ALIASES), given, complete=is_complete(launch))


def parallelism(given: Arguments) -> Parallelism | None:
    tensor = given.integer(1, "tensor-parallel-size")
    pipeline = given.integer(1, "pipeline-parallel-size")
    data = given.integer(1, "data-parallel-size")
    if tensor is None or pipeline is None or data is None:
        return None
    return Parallelism(tensor, pipeline, data, spread=not given.on("enable-dp-attention"))


ENGINE = Engine("sglang", "dynamo.sglang", arguments, parallelism, ("model-path",))
