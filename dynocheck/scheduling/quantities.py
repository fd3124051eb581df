"""Kubernetes quantities, exactly: `100m`, `1.5Gi`, `2e3`. Amounts are whole, as the scheduler counts."""

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from math import ceil

Amounts = dict[str, int]

CPU = "cpu"
MEMORY = "memory"
STORAGE = "ephemeral-storage"
PODS = "pods"

_BINARY: dict[str, int | Fraction] = {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL: dict[str, int | Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": 1,
}
_LARGE: dict[str, int | Fraction] = {letter: 1000**power for power, letter in enumerate("kMGTPE", 1)}
_SCALES = {**_BINARY, **_DECIMAL, **_LARGE}
_FORM = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,3}|)", re.ASCII)
_NANO = 10**9


def quantity(text: object) -> Fraction:
    """The number that a quantity means; what is finer than a billionth is rounded up, as Kubernetes does.

    :raises ValueError: it is none.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(f"{text!r} is no quantity")
    return _parsed(str(text))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Fraction:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    sign, digits, suffix = found.groups()
    scale = _SCALES[suffix] if suffix in _SCALES else Fraction(10) ** int(suffix[1:])
    value = Fraction(ceil(Fraction(digits.rstrip(".")) * scale * _NANO), _NANO)
    return -value if sign == "-" else value


def amount(resource: str, value: Fraction) -> int:
    """The whole number that the scheduler compares: thousandths of a CPU, units of everything else."""
    return ceil(value * 1000) if resource == CPU else ceil(value)


def amounts(values: Mapping[str, object]) -> Amounts:
    """The amounts of a resource list.

    :raises ValueError: a value is no quantity.
    """
    return {resource: amount(resource, quantity(value)) for resource, value in values.items()}


def shown(resource: str, value: int) -> str:
    """An amount as people write it."""
    if resource == CPU:
        return str(value // 1000) if value % 1000 == 0 else f"{value}m"
    if resource in (MEMORY, STORAGE) or resource.startswith("hugepages-"):
        for power, suffix in reversed(tuple(enumerate(_BINARY, 1))):
            scale = 1024**power
            if abs(value) >= scale:
                tenths = value * 10 // scale
                whole, rest = divmod(tenths, 10)
                return f"{whole}.{rest}{suffix}" if rest else f"{whole}{suffix}"
    return str(value)


def total(lists: Iterable[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """The sum of resource lists."""
    result: dict[str, Fraction] = {}
    for each in lists:
        for resource, value in each.items():
            result[resource] = result.get(resource, Fraction(0)) + value
    return result


def largest(*lists: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Of each resource the most that one of the lists has."""
    result: dict[str, Fraction] = {}
    for each in lists:
        for resource, value in each.items():
            result[resource] = max(result.get(resource, value), value)
    return result
