"""Kubernetes quantities as numbers."""

import re
from decimal import Decimal, InvalidOperation

_SHAPE = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|([A-Za-z]{0,2}))")
_UNITS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def quantity(text: str) -> Decimal | None:
    """The number that a quantity such as `500m`, `8` or `16Gi` stands for, or None when it is none."""
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        return None
    number, exponent, unit = match.groups()
    if exponent:
        try:
            return Decimal(number + exponent)
        except InvalidOperation:  # an exponent that no number has
            return None
    return Decimal(number) * _UNITS[unit] if unit in _UNITS else None


def whole(text: str | None) -> int | None:
    """The number of items that a text such as `8` stands for, or None when it is none."""
    return int(text) if text and text.isdecimal() and len(text) < 20 else None
