"""Engine configuration in mappings: a file whose keys are flags, and JSON as the value of a flag.

vLLM (`FlexibleArgumentParser.load_config_file`) and SGLang (`ConfigArgumentMerger`) turn the file into words
and parse these like a command line, without Dynamo's own options. Both drop an empty list. SGLang drops
`key: false` for a switch; vLLM makes `--no-key` of it from 0.28.0 on, if it has exactly that option, and
drops it otherwise.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dynocheck.data.flags import FlagTable
from dynocheck.engines.arguments import ParsedFlags, collect_arguments
from dynocheck.engines.command_line import SGLANG, VLLM, FlagOccurrence, find_engine_candidates
from dynocheck.facts import ConfigFile, Value, Word

Mappings = Mapping[str, Mapping[str, str]]

_DROPS_FALSE = ("vLLM 0.16.0", "vLLM 0.19.0", "vLLM 0.20.1", "vLLM 0.23.0", "vLLM 0.26.0")


@dataclass(frozen=True)
class ConfigEntry:
    """A key of an engine's file with the flag that the engine makes of it; `silent` if it makes none."""

    file: str
    key: str
    value: Value
    flag: FlagOccurrence
    silent: bool


class UnknownKey(NamedTuple):
    """A key, with the keys above it, that a mapping does not have."""

    path: tuple[str, ...]
    mapping: str


def read_config_entries(module: str, config: ConfigFile | None, engine: FlagTable) -> Iterator[ConfigEntry]:
    """The keys of an engine's file, in order.

    :param module: the program that reads it, such as `dynamo.vllm`.
    :param engine: the options of the engine itself.
    """
    if config is None or config.root is None or not isinstance(config.root.data, dict):
        return
    for key, value in config.root.data.items():
        off = value.data is False
        negates = off and module in VLLM and _negates_false(key, engine)
        # SGLang finds a switch that is off by underscores too.
        sought = key.replace("_", "-") if off and module in SGLANG else key
        candidates = tuple(find_engine_candidates(module, f"--{sought}", engine))
        texts = [] if negates else _format_words(module, value.plain, [flag.kind for flag in candidates])
        words = tuple(Word(text, value.line, value.column) for text in texts or ())
        spelled = f"--no-{key}" if negates else f"--{key}"
        flag = Word(spelled, value.line, value.column)
        occurrence = FlagOccurrence(flag, spelled, None, words, candidates)
        yield ConfigEntry(config.file, key, value, occurrence, silent=texts is None)


def read_config_arguments(
    module: str, config: ConfigFile | None, engine: FlagTable, names: Mapping[str, str]
) -> ParsedFlags | None:
    """The arguments of an engine's file; None if it is not a mapping.

    :param names: as for `collect_arguments`.
    """
    if config is None or config.root is None or not isinstance(config.root.data, dict):
        return None
    flags = [entry.flag for entry in read_config_entries(module, config, engine) if not entry.silent]
    return collect_arguments(flags, config.file, names, flexible=True)


def _negates_false(key: str, engine: FlagTable) -> bool:
    return f"--no-{key}" in engine.by_name and engine.title not in _DROPS_FALSE


def _format_words(module: str, plain: Any, kinds: list[str]) -> list[str] | None:
    """The words that follow the flag, None if the engine makes no flag."""
    switch = module in VLLM or kinds in (["switch"], ["unknown"])
    match plain:
        case bool():
            return ([] if plain else None) if switch else [str(plain).lower()]
        case list():
            return [str(item) for item in plain] or None
        case dict():
            return [json.dumps(plain)]
    return [str(plain)]


def find_unknown_keys(
    data: Any, mapping: str, known: Mappings, path: tuple[str, ...] = ()
) -> Iterator[UnknownKey]:
    """The keys, at any depth, that the engine rejects.

    :param mapping: the name of the mapping that `data` becomes.
    """
    keys = known.get(mapping)
    if keys is None or not isinstance(data, dict):
        return
    for key, value in data.items():
        # Some releases take hyphens in speculative decoding's keys.
        below = keys.get(key, keys.get(str(key).replace("-", "_")))
        if below is None:
            yield UnknownKey((*path, str(key)), mapping)
        else:
            yield from find_unknown_keys(value, below, known, (*path, str(key)))
