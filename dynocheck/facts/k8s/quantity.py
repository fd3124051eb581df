"""Parses Kubernetes quantities exactly: `500m`, `16Gi`, `2e3`."""

import re
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import ceil

# As the API server parses them: surrounding spaces are ignored, digits may be missing before or after the
# point, or altogether. A longer exponent is not rejected; it hangs the server.
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
_MOST = 2**63 - 1  # the limit for suffixes that are powers of 1024
_LONGEST = 1000  # characters
_FAR = 999  # larger exponents make no difference


def parse_quantity(value: object) -> Fraction | None:
    """The value of a quantity as Kubernetes parses it; None if it is invalid or longer than 1000 characters.

    Values are rounded up, away from zero, to a billionth.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    text = repr(value) if isinstance(value, float) else str(value)
    return _parse(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _parse(text: str) -> Fraction | None:
    match = QUANTITY_PATTERN.fullmatch(text)
    if match is None:
        return None
    sign, digits, suffix = match.groups()
    number = Fraction(Decimal(digits)) if digits.strip(".") else Fraction(0)
    value = Fraction(ceil(number * _find_scale(suffix) * _NANO), _NANO)
    if suffix.endswith("i"):
        value = min(value, Fraction(_MOST))
    return -value if sign == "-" else value


def _find_scale(suffix: str) -> Fraction:
    if suffix in _SCALES:
        return _SCALES[suffix]
    return Fraction(10) ** max(-_FAR, min(int(suffix[1:]), _FAR))


def parse_device_count(value: object) -> int | None:
    """The value of a quantity that is a whole number of devices, else None.

    The API server formats 1000 as `1k`; nodes that share a device among many pods offer that many.
    """
    number = parse_quantity(value)
    return int(number) if number is not None and number >= 0 and number.denominator == 1 else None


def parse_count(text: str | None) -> int | None:
    """The number in a text of at most 19 decimal digits, else None."""
    return int(text) if text and text.isdecimal() and len(text) < 20 else None
