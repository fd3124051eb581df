"""llama.cpp's server, which answers under whatever name a model is asked for.

Most of its flags have a variable; a flag wins.
"""

from dataclasses import replace

from dynocheck.engines.arguments import Argument, Arguments, parse_command_line
from dynocheck.engines.base import Engine
from dynocheck.engines.command_line import LLAMACPP, find_parsers
from dynocheck.facts import Container, Launch

# Options that are judged, with the variable that each may be given by (common/arg.cpp).
_VARIABLES = {
    "api-prefix": "LLAMA_ARG_API_PREFIX",
    "gpu-layers": "LLAMA_ARG_N_GPU_LAYERS",
    "hf-repo": "LLAMA_ARG_HF_REPO",
    "host": "LLAMA_ARG_HOST",
    "model": "LLAMA_ARG_MODEL",
    "model-url": "LLAMA_ARG_MODEL_URL",
    "port": "LLAMA_ARG_PORT",
}


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
    parsers = find_parsers(LLAMACPP, container.image)
    by_name = container.index_variables(launch)
    variables = {
        name: Argument(name, found.value, file, found.line, found.column, found.value is not None, found.name)
        for name, variable in _VARIABLES.items()
        if (found := by_name.get(variable)) is not None
    }
    flags, complete = parse_command_line(launch, file, parsers, {})
    given = variables | flags
    if (repo := given.get("hf-repo")) is not None and repo.known:
        model, _, _quantization = str(repo.value).partition(":")
        given["hf-repo"] = replace(repo, value=model)
    return Arguments(given, complete=complete)


ENGINE = Engine(
    "llamacpp",
    (LLAMACPP,),
    read_arguments,
    lambda given: None,
    lambda given: None,
    lambda container, launch: None,
    ("model", "hf-repo"),
    adapts=True,
)
