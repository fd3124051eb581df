"""Reads counts, which some servers write as text or with a fraction."""

from collections.abc import Mapping
from typing import Any

_DIGITS = 18


def read_count(value: Any) -> int | None:
    """The count in a JSON value: 20, 20.0 or "20"; None for anything else."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.isascii() and value.isdigit() and len(value) <= _DIGITS:
            return int(value)
    return None


def describe_odd_counts(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that are neither integers nor absent, such as `max_model_len is '4096'`."""
    return tuple(
        f"{name} is {value!r:.40}"
        for name, value in fields.items()
        if value is not None and (isinstance(value, bool) or not isinstance(value, int))
    )
