"""Suggests the value that one which does not fit its schema was meant to be."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from dynocheck.core.fixes import replace_words, set_value
from dynocheck.schema.messages import Path, fits_type, format_path

_LAST = re.compile(r"(?:([\w-]+)|\[([^\]]*[^\d\]][^\]]*)\])$")
_DECIMAL = re.compile(r"[-+]?\d{1,15}(\.\d{1,15})?")
_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGTPE])(i?)[bB]")


def suggest_value(path: Path, value: Any, old: Any = None) -> str:
    """The edit that gives the field at a path this value; empty if the value is None.

    An item of a list has no name: its old value is replaced, if that is a number or a boolean.
    """
    written = format_path(path)
    last = _LAST.search(written)
    if value is None or last is None:
        is_scalar = value is not None and isinstance(old, int | float)
        return replace_words(json.dumps(old), json.dumps(value)) if is_scalar else ""
    return set_value(last[1] or f"{written[: last.start()].rpartition('.')[2]}[{last[2]}]", value)


def convert(data: Any, wanted: Sequence[str]) -> Any:
    """A value as one of the types wanted, if it means the same."""
    if isinstance(data, list) and len(data) == 1 and fits_type(data[0], wanted):
        return data[0]
    if "string" in wanted and isinstance(data, bool | int | float):
        return str(data).lower() if isinstance(data, bool) else str(data)
    if isinstance(data, str) and "boolean" in wanted and data.lower() in ("true", "false"):
        return data.lower() == "true"
    if isinstance(data, str) and {"integer", "number"} & {*wanted} and _DECIMAL.fullmatch(data):
        number = float(data)
        return int(number) if number == int(number) else number if "number" in wanted else None
    return None


def find_known_name(key: str, known: Iterable[str]) -> str:
    """The field that a misspelt one was meant to be; empty if none is like it."""
    return next(iter(difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.7)), "")


def find_choice(data: Any, choices: Sequence[Any]) -> Any:
    """The choice that a text was meant to be; None if none is like it and there are several."""
    if len(choices) == 1:
        return choices[0]
    texts = {choice.lower(): choice for choice in choices if isinstance(choice, str)}
    close = difflib.get_close_matches(data.lower(), texts, n=1) if isinstance(data, str) else ()
    return texts[close[0]] if close else "VALUE"


def mend_text(text: str, must: str) -> str | None:
    """A quantity without its B, or a name in lower case and without what it must not have; else None."""
    size = _BYTES.fullmatch(text)
    if "quantity" in must and size:
        prefix = size[2] if size[3] or size[2] != "K" else "k"
        return f"{size[1]}{prefix}{size[3]}"
    if "lower case" in must:
        name = re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.")
        return name or None
    return None
