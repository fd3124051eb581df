"""What is told to an engine in mappings: a file whose keys are flags, and JSON in place of a value.

vLLM (`FlexibleArgumentParser.load_config_file`) and SGLang (`ConfigArgumentMerger`) make words of a file and
read these as they read a command line, without Dynamo's own options. vLLM says nothing of a false value or an
empty list, SGLang nothing of an empty list, and nothing of a false value where the flag takes none.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dynocheck.data.flags import FlagTable
from dynocheck.engines.base import detect_engine
from dynocheck.engines.command_line import FlagOccurrence, find_engine_candidates
from dynocheck.facts.recipe.recipes import Container, Launch, Value, Word

Mappings = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class ConfigEntry:
    """A key of an engine's file with the flag that the engine makes of it; `silent` when it makes none."""

    file: str
    key: str
    value: Value
    given: FlagOccurrence
    silent: bool


class UnknownKey(NamedTuple):
    """A key, with the keys above it, that a mapping does not have."""

    path: tuple[str, ...]
    mapping: str


def read_config_entries(container: Container, launch: Launch, engine: FlagTable) -> Iterator[ConfigEntry]:
    """The keys of the file that a launch names, in their order.

    :param engine: the options of the engine itself.
    """
    found = detect_engine(launch)
    config = found.config(container, launch) if found is not None else None
    if config is None or config.root is None or not isinstance(config.root.data, dict):
        return
    for key, value in config.root.data.items():
        meant = tuple(find_engine_candidates(launch.module, _spell_flag(launch.module, key, value), engine))
        texts = _format_words(launch.module, value.plain, [flag.kind for flag in meant])
        words = tuple(Word(text, value.line, value.column) for text in texts or ())
        flag = Word(f"--{key}", value.line, value.column)
        yield ConfigEntry(
            config.file,
            key,
            value,
            FlagOccurrence(flag, f"--{key}", None, words, meant),
            silent=texts is None,
        )


def _spell_flag(module: str, key: str, value: Value) -> str:
    """The flag by which a key is looked up: SGLang finds a switch that is off by underscores too."""
    off = module == "dynamo.sglang" and value.data is False
    return f"--{key.replace('_', '-') if off else key}"


def _format_words(module: str, plain: Any, kinds: list[str]) -> list[str] | None:
    """The words that follow the flag, None where there is not even the flag."""
    switch = module == "dynamo.vllm" or kinds in (["switch"], ["unknown"])
    match plain:
        case bool():
            return ([] if plain else None) if switch else [str(plain).lower()]
        case list():
            return [str(each) for each in plain] or None
        case dict():
            return [json.dumps(plain)]
    return [str(plain)]


def find_unknown_keys(
    data: Any, mapping: str, known: Mappings, path: tuple[str, ...] = ()
) -> Iterator[UnknownKey]:
    """The keys at any depth that are refused.

    :param mapping: the name of the mapping that `data` is to be.
    """
    keys = known.get(mapping)
    if keys is None or not isinstance(data, dict):
        return
    for key, value in data.items():
        # Some releases take hyphens in speculative decoding's keys.
        held = keys.get(key, keys.get(str(key).replace("-", "_")))
        if held is None:
            yield UnknownKey((*path, str(key)), mapping)
        else:
            yield from find_unknown_keys(value, held, known, (*path, str(key)))


def parse_flag_json(given: FlagOccurrence) -> Any:
    """The JSON that a flag is given, `--a.b 1` as the mapping that it stands for; None where it is none."""
    text = given.inline if given.inline is not None else given.following[0].text if given.following else None
    _, *path = given.spelled.removesuffix("+").split(".")
    data = _parse_json(text)
    for key in reversed(path):
        data = {key: data}
    return data


def _parse_json(text: str | None) -> Any:
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None
