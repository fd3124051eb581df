"""TGI, trtllm-serve, llama.cpp and Ollama, which Dynamo does not start.

TGI's launcher takes each flag from a variable too; a flag wins. Without --num-shard it takes every GPU that
it sees. trtllm-serve splits as TensorRT-LLM does; its YAML file wins over its flags, in later releases
they over the file. llama.cpp's server has a variable for most of its flags, and answers under whatever name a
model is asked for. Ollama has variables alone, and loads what it is asked for.
"""

import re
from dataclasses import replace

from dynocheck.data.flags import find_program_release
from dynocheck.data.servers import PROGRAMS
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
    "cp-size": "context-parallel-size",
    "ep-size": "expert-parallel-size",
    "kv-cache-free-gpu-memory-fraction": "free-gpu-memory-fraction",
    "config": "extra-llm-api-options",  # as --config=FILE
}
_FLAGS_WIN = "1.3.0rc29"  # the known release since which they do, by its documentation of --config
_FILES = ("config", "extra-llm-api-options")
_WITHOUT_MODEL = (f"{_TRTLLM} disaggregated", f"{_TRTLLM} disaggregated_mpi_worker")  # but in their file
_LLAMA = "llama-server"
# Options of llama.cpp that are judged, with the variable that each may be given by (common/arg.cpp).
_LLAMA_VARIABLES = {
    "api-prefix": "LLAMA_ARG_API_PREFIX",
    "gpu-layers": "LLAMA_ARG_N_GPU_LAYERS",
    "hf-repo": "LLAMA_ARG_HF_REPO",
    "host": "LLAMA_ARG_HOST",
    "model": "LLAMA_ARG_MODEL",
    "model-url": "LLAMA_ARG_MODEL_URL",
    "port": "LLAMA_ARG_PORT",
}
_ADDRESS = re.compile(r"(?:(https?)://)?(\[[\da-fA-F:.]*\]|[^:/\[\]]*)(?::(\d+))?(?:/.*)?")
_OLLAMA_PORTS = {"": 11434, "http": 80, "https": 443}  # without a port in OLLAMA_HOST


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
    flags, complete = parse_command_line(launch, file, (), _NAMES, flexible=True)
    complete = complete and launch.module not in _WITHOUT_MODEL
    word = find_model_word(launch, find_parsers(launch.module, container.image))
    if word is not None:
        flags["model"] = Argument("model", word.text, file, word.line, word.column)
    named = next((flags[name] for name in _FILES if name in flags), None)
    config = find_config_file(container, named)
    keys = parse_config_keys(config.root, config.file, trtllm.KEYS) if config is not None else None
    complete = complete and (named is None or keys is not None)
    wins = _list_winners(launch, container)
    sources = (flags, keys or {}) if "file" in wins else (keys or {}, flags)
    given = Arguments(*sources, complete=complete)
    return given if len(wins) == 1 or not given.conflicts else Arguments(flags, complete=False)


def _list_winners(launch: Launch, container: Container) -> set[str]:
    """What wins where the flags and the YAML file differ, in the releases that the image may have."""
    release = find_program_release(launch.module, container.image or "")
    possible = (_FLAGS_WIN,) if release.newer else release.possible
    return {"flags" if each == _FLAGS_WIN else "file" for each in possible} or {"flags", "file"}


def _find_trtllm_file(container: Container, launch: Launch) -> ConfigFile | None:
    flags = parse_command_line(launch, "", (), _NAMES, flexible=True).arguments
    return find_config_file(container, next((flags[name] for name in _FILES if name in flags), None))


def _read_llamacpp(container: Container, launch: Launch, file: str) -> Arguments:
    parsers = find_parsers(_LLAMA, container.image)
    by_name = {variable.name: variable for variable in (*container.env, *launch.env)}
    variables = {
        name: Argument(name, found.value, file, found.line, found.column, found.value is not None, found.name)
        for name, variable in _LLAMA_VARIABLES.items()
        if (found := by_name.get(variable)) is not None
    }
    flags, complete = parse_command_line(launch, file, parsers, {})
    given = variables | flags
    if (repo := given.get("hf-repo")) is not None and repo.known:
        model, _, _quantization = str(repo.value).partition(":")
        given["hf-repo"] = replace(repo, value=model)
    return Arguments(given, complete=complete)


def _read_ollama(container: Container, launch: Launch, file: str) -> Arguments:
    """The host and the port of OLLAMA_HOST, which envconfig/config.go of Ollama takes apart."""
    variable = container.find_variable("OLLAMA_HOST", launch)
    if variable is None:
        return Arguments()
    match = _ADDRESS.fullmatch((variable.value or "").strip(" \"'"))
    if variable.value is None or match is None:
        return Arguments(complete=False)
    scheme, host, port = match[1] or "", match[2].strip("[]"), match[3]
    parts = {"host": host or ("0.0.0.0" if port else "127.0.0.1"), "port": port or _OLLAMA_PORTS[scheme]}  # noqa: S104
    place = file, variable.line, variable.column
    return Arguments(
        {name: Argument(name, value, *place, spelled=variable.name) for name, value in parts.items()}
    )


LLAMACPP = Engine(
    "llamacpp",
    (_LLAMA,),
    _read_llamacpp,
    lambda given: None,
    lambda given: None,
    lambda container, launch: None,
    ("model", "hf-repo"),
    adapts=True,
)
OLLAMA = Engine(
    "ollama",
    ("ollama serve",),
    _read_ollama,
    lambda given: None,
    lambda given: None,
    lambda container, launch: None,
    (),
    adapts=True,
)
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
    tuple(program for program in PROGRAMS if program.startswith(_TRTLLM)),
    _read_trtllm,
    trtllm.compute_parallelism,
    trtllm.compute_budget,
    _find_trtllm_file,
    ("model",),
)
ENGINES = (TGI, TRTLLM, LLAMACPP, OLLAMA)
