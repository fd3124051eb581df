"""What is told to an engine in mappings: a file whose keys are flags, and JSON in place of a value.

vLLM (`FlexibleArgumentParser.load_config_file`) and SGLang (`ConfigArgumentMerger`) make words of a file and
read these as they read a command line, without Dynamo's own options. vLLM says nothing of a false value or an
empty list, SGLang nothing of an empty list, and nothing of a false value where the flag takes none.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dynocheck.data.flags import Options
from dynocheck.engines.base import engine_of
from dynocheck.engines.command_line import Written, meant_by
from dynocheck.facts.recipe.recipes import Container, Launch, Value, Word

Mappings = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Entry:
    """A key of an engine's file with the flag that the engine makes of it; `silent` when it makes none."""

    file: str
    key: str
    value: Value
    given: Written
    silent: bool


class Stranger(NamedTuple):
    """A key, with the keys above it, that a mapping does not have."""

    path: tuple[str, ...]
    mapping: str


def entries(container: Container, launch: Launch, engine: Options) -> Iterator[Entry]:
    """The keys of the file that a launch names, in their order.

    :param engine: the options of the engine itself.
    """
    found = engine_of(launch)
    config = found.config(container, launch) if found is not None else None
    if config is None or config.root is None or not isinstance(config.root.data, dict):
        return
    for key, value in config.root.data.items():
        meant = tuple(meant_by(launch.module, _flag(launch.module, key, value), engine))
        texts = _texts(launch.module, value.plain, [flag.kind for flag in meant])
        words = tuple(Word(text, value.line, value.column) for text in texts or ())
        flag = Word(f"--{key}", value.line, value.column)
        yield Entry(
            config.file, key, value, Written(flag, f"--{key}", None, words, meant), silent=texts is None
        )


def _flag(module: str, key: str, value: Value) -> str:
    """The flag by which a key is looked up: SGLang finds a switch that is off by underscores too."""
    off = module == "dynamo.sglang" and value.data is False
    return f"--{key.replace('_', '-') if off else key}"


def _texts(module: str, plain: Any, kinds: list[str]) -> list[str] | None:
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


def strangers(data: Any, mapping: str, known: Mappings, path: tuple[str, ...] = ()) -> Iterator[Stranger]:
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
            yield Stranger((*path, str(key)), mapping)
        else:
            yield from strangers(value, held, known, (*path, str(key)))


def told(given: Written) -> Any:
    """The JSON that a flag is given, `--a.b 1` as the mapping that it stands for; None where it is none."""
    text = given.inline if given.inline is not None else given.following[0].text if given.following else None
    _, *path = given.spelled.removesuffix("+").split(".")
    data = _json(text)
    for key in reversed(path):
        data = {key: data}
    return data


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None
