"""How a value that does not fit its schema is spoken of: in one line, without what is too long to read."""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from dynocheck.secrets import clip

MAX_QUOTED = 60  # characters of a value or a key that are quoted
MAX_NAMES = 8  # names that are listed

# Where a value stands: the path above it, with its key or index. Written as text for what is reported alone.
Path = str | tuple["Path", str | int]

_TYPE_NAMES = {
    "array": "a list",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "object": "a mapping",
    "string": "a string",
}
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*")
_BARE_KEY = re.compile(r"[\w./-]+")
_LOOKS_LIKE = {
    "boolean": re.compile("true|false"),
    "integer": re.compile(r"[-+]?\d+"),
    "number": re.compile(r"[-+]?\d+(\.\d+)?"),
}


def _is_number(data: Any) -> bool:
    return isinstance(data, int | float) and not isinstance(data, bool) and math.isfinite(data)


def _is_integer(data: Any) -> bool:
    return _is_number(data) and data == int(data)  # YAML's 8.0 reaches the server as 8


_TYPES: dict[str, Callable[[Any], bool]] = {
    "boolean": lambda data: isinstance(data, bool),
    "integer": _is_integer,
    "number": _is_number,
    "string": lambda data: isinstance(data, str),
    "array": lambda data: isinstance(data, list),
    "object": lambda data: isinstance(data, dict),
}


def fits_type(data: Any, names: Sequence[str]) -> bool:
    """Whether the API server would read this as one of the types that a schema calls by these names."""
    return any(_TYPES[name](data) for name in names)


def format_path(path: Path) -> str:
    """The path as text: spec.containers[0].resources."""
    if isinstance(path, str):
        return path
    above, last = path
    return f"{format_path(above)}[{last}]" if isinstance(last, int) else join_path(format_path(above), last)


def join_path(path: str, key: str) -> str:
    """The path of an entry, with keys that are no plain words in brackets: limits[nvidia.com/gpu]."""
    shown = _format_key(key)
    return path + shown if path or shown[0] == "[" else shown[1:]


@lru_cache(1024)
def _format_key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and len(key) <= MAX_QUOTED:
        return f".{key}"
    shown = quote(key)
    return f"[{shown[1:-1] if _BARE_KEY.fullmatch(key) else shown}]"


def quote(data: Any) -> str:
    """A value as JSON in one line, cut where it is long; a list or mapping by what it is."""
    if isinstance(data, list | dict):
        return _TYPE_NAMES["array" if isinstance(data, list) else "object"]
    if not isinstance(data, str):
        return json.dumps(data)
    cut = clip(data, MAX_QUOTED)
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def describe_mismatch(data: Any, wanted: Sequence[str], *, quotes: bool = True) -> str:
    """What is to be said of a value that has none of the types wanted."""
    must = " or ".join(_TYPE_NAMES[name] for name in wanted)
    if data is None:
        return f"is null, must be {must}"
    actual = next((name for name, holds in _TYPES.items() if holds(data)), "number")
    shown = f" ({quote(data)})" if quotes and not isinstance(data, list | dict) else ""
    return f"is {_TYPE_NAMES[actual]}{shown}, must be {must}{_suggest_fix(data, wanted)}"


def describe_unknown(key: str, known: Iterable[str]) -> str:
    """What is to be said of a field that its schema does not have, with the name that was meant."""
    names = sorted(known)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.7)
    if close:
        return f"is no known field, did you mean {close[0]}?"
    if not names:
        return "is no known field, none is allowed here"
    return (
        f"is no known field, known here: {', '.join(names)}"
        if len(names) <= MAX_NAMES
        else "is no known field"
    )


def format_choices(choices: list[Any]) -> str:
    """The values of an enumeration, the first ones when there are many."""
    shown = [quote(choice) for choice in choices[:MAX_NAMES]]
    if len(choices) == 1:
        return shown[0]
    more = f" or {len(choices) - MAX_NAMES} more" if len(choices) > MAX_NAMES else ""
    return f"one of {', '.join(shown)}{more}"


def _suggest_fix(data: Any, wanted: Sequence[str]) -> str:
    if "string" in wanted and isinstance(data, bool | int | float):
        return ": put it in quotes"
    if isinstance(data, str) and any(
        name in _LOOKS_LIKE and _LOOKS_LIKE[name].fullmatch(data) for name in wanted
    ):
        return ": leave out the quotes"
    return ""
