"""A command line as an engine's parser reads it: argparse, with abbreviations and negative numbers."""

import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any, NamedTuple

from dynocheck.engines.arguments import Argument
from dynocheck.facts.recipe.recipes import Value, Word

_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")
_FIRST_WORD = re.compile(r"^-+[^-]+")
_SWITCH = re.compile(r"--(no|enable|disable|trust|enforce|skip)-.+|--headless")  # so are they named


@dataclass(frozen=True)
class FlagSpellings:
    """The options of an engine that matter here, and those that are easily taken for them.

    :param options: each spelling with its one name.
    :param underscores: whether `--a_b` is `--a-b`.
    :param dotted: whether `--a.b 1` is `--a '{"b": 1}'`.
    """

    options: Mapping[str, str]
    underscores: bool = False
    dotted: bool = False

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.options)

    def normalize(self, spelled: str) -> str:
        if not (self.underscores and spelled.startswith("--")):
            return spelled
        head, dot, rest = spelled.partition(".")
        return head.replace("_", "-") + dot + rest

    def resolve(self, spelled: str) -> str | None:
        """The name of an option, its own where it is none of these; None when it could be several."""
        if spelled in self.options:
            return self.options[spelled]
        start = bisect_left(self._sorted, spelled)
        longer = list(takewhile(lambda option: option.startswith(spelled), self._sorted[start:]))
        if not longer:
            return spelled.lstrip("-")
        names = {self.options[option] for option in longer}
        # An abbreviation that is shorter than the first word could mean an option that is not listed here.
        distinct = all(len(spelled) >= len(_FIRST_WORD.findall(option)[0]) for option in longer)
        return names.pop() if len(names) == 1 and distinct else None


class ParsedFlags(NamedTuple):
    """The flags by name, the last of each, and whether every word is accounted for."""

    found: dict[str, Argument]
    complete: bool


def parse_command_line(words: Sequence[Word], file: str, spellings: FlagSpellings) -> ParsedFlags:
    """Read a command line: `--a 1`, `--a=1`, `--no-a`, an abbreviation of a name that is the only one.

    :param words: what follows the module.
    :param file: the file that they stand in.
    """
    found: dict[str, Argument] = {}
    dotted: dict[str, Argument] = {}
    complete = True
    at = 0
    while at < len(words) and words[at].text != "--":
        word = words[at]
        at += 1
        if word.text is None or not is_flag(word.text):
            complete = complete and word.text is not None
            continue
        spelled, equals, inline = word.text.partition("=")
        spelled = spellings.normalize(spelled)
        value: Any = inline if equals else True
        if not equals and at < len(words) and _is_value(words[at], spelled):
            value = words[at].text
            at += 1
        negates = spelled.startswith("--no-") and value is True
        name = spellings.resolve(f"--{spelled[5:]}" if negates else spelled)
        if name is None:
            complete = False
            continue
        argument = Argument(
            name, False if negates else value, file, word.line, word.column, value is not None
        )
        if spellings.dotted and spelled.startswith("--") and "." in name:
            _merge_dotted(dotted, argument)
        else:
            found[name] = argument
    return ParsedFlags(found | dotted, complete)


def drop_unread_config(found: Mapping[str, Argument], words: Sequence[Word]) -> dict[str, Argument]:
    """The flags but `--config` where it is no word by itself: vLLM and SGLang look for that word before they
    parse, and read no file for `--config=FILE`.
    """
    apart = any(word.text == "--config" for word in words)
    return {name: argument for name, argument in found.items() if apart or name != "config"}


def is_flag(text: str) -> bool:
    """Whether a parser takes a word for an option, not for a value."""
    head = text.partition("=")[0]
    return text.startswith("-") and len(text) > 1 and " " not in head and not _NEGATIVE.fullmatch(text)


def _is_value(word: Word, flag: str) -> bool:
    """Whether a word belongs to the flag before it. One that is not known does, unless that is a switch."""
    return not _SWITCH.fullmatch(flag) if word.text is None else not is_flag(word.text)


def _merge_dotted(dotted: dict[str, Argument], argument: Argument) -> None:
    """Merge `a.b.c 1` into the mapping `a`."""
    name, *keys = argument.name.split(".")
    known = dotted[name].known if name in dotted else True
    mapping: dict[str, Any] = dict(dotted[name].value or {}) if name in dotted else {}
    inner = mapping
    for key in keys[:-1]:
        below = inner.get(key)
        inner[key] = inner = dict(below) if isinstance(below, dict) else {}
    inner[keys[-1]] = _parse_value(argument.value)
    place = argument.file, argument.line, argument.column
    dotted[name] = Argument(name, mapping, *place, known=known and argument.known)


def _parse_value(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def expand_config(root: Value | None) -> list[Word] | None:
    """The words that a parser makes of a YAML file whose keys are options; None when it has no such thing."""
    if root is None or not isinstance(root.data, dict):
        return None
    words: list[Word] = []
    for key, value in root.data.items():
        plain = value.plain
        texts = [f"--no-{key}" if plain is False else f"--{key}"]
        if isinstance(plain, list):
            texts = [*texts, *map(str, plain)] if plain else []
        elif isinstance(plain, dict):
            texts.append(json.dumps(plain))
        elif not isinstance(plain, bool):
            texts.append(str(plain))
        words.extend(Word(text, value.line, value.column) for text in texts)
    return words
