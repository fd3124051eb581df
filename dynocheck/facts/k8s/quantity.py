"""Kubernetes quantities, exactly: `500m`, `16Gi`, `2e3`."""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil

# The API server reads a quantity by hand, without the spaces around it: digits may be missing on both sides
# of the point, or altogether. An exponent of more digits is not refused, it hangs the server.
QUANTITY_PATTERN = re.compile(
    r" *(?=[^ ])([-+]?)([0-9]*\.?[0-9]*)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]{1,6}|) *", re.ASCII
)
_SCALES = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}
_NANO = 10**9
_MOST = 2**63 - 1  # of an amount that is written with a power of 1024
_LONGEST = 1000  # characters
_FAR = 999  # an exponent beyond it makes no difference


def parse_quantity(written: object) -> Fraction | None:
    """The number that a quantity means, as Kubernetes reads it; None when it is none, or longer than anybody
    writes one.

    What is finer than a billionth is rounded up, away from zero.
    """
    if isinstance(written, bool) or not isinstance(written, (str, int, float)):
        return None
    text = repr(written) if isinstance(written, float) else str(written)
    return _parse(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _parse(text: str) -> Fraction | None:
    found = QUANTITY_PATTERN.fullmatch(text)
    if found is None:
        return None
    sign, digits, suffix = found.groups()
    number = Fraction(Decimal(digits)) if digits.strip(".") else Fraction(0)
    value = Fraction(ceil(number * _find_scale(suffix) * _NANO), _NANO)
    if suffix.endswith("i"):
        value = min(value, Fraction(_MOST))
    return -value if sign == "-" else value


def _find_scale(suffix: str) -> Fraction:
    if suffix in _SCALES:
        return _SCALES[suffix]
    return Fraction(10) ** max(-_FAR, min(int(suffix[1:]), _FAR))


def parse_device_count(written: object) -> int | None:
    """How many of something a quantity says, None when it says no whole number.

    The API server writes 1000 as `1k`, which nodes that share a device among many pods do offer.
    """
    found = parse_quantity(written)
    return int(found) if found is not None and found >= 0 and found.denominator == 1 else None


def parse_count(text: str | None) -> int | None:
    """The number of items that a text such as `8` stands for, or None when it is none."""
    return int(text) if text and text.isdecimal() and len(text) < 20 else None
