"""TensorRT-LLM's own server, trtllm-serve.

It splits as TensorRT-LLM does. Its YAML file wins over its flags, in later releases they over the file.
"""

from dynocheck.data.flags import find_program_release
from dynocheck.data.servers import PROGRAMS
from dynocheck.engines import trtllm
from dynocheck.engines.arguments import (
    Argument,
    Arguments,
    find_config_file,
    parse_command_line,
    parse_config_keys,
)
from dynocheck.engines.base import Engine
from dynocheck.engines.command_line import find_model_word, find_parsers
from dynocheck.facts import ConfigFile, Container, Launch

_PROGRAM = "trtllm-serve"
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
_WITHOUT_MODEL = (f"{_PROGRAM} disaggregated", f"{_PROGRAM} disaggregated_mpi_worker")  # but in their file


def read_arguments(container: Container, launch: Launch, file: str) -> Arguments:
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


def find_keys_file(container: Container, launch: Launch) -> ConfigFile | None:
    flags = parse_command_line(launch, "", (), _NAMES, flexible=True).arguments
    return find_config_file(container, next((flags[name] for name in _FILES if name in flags), None))


ENGINE = Engine(
    _PROGRAM,
    tuple(program for program in PROGRAMS if program.startswith(_PROGRAM)),
    read_arguments,
    trtllm.compute_parallelism,
    trtllm.compute_budget,
    find_keys_file,
    ("model",),
)
