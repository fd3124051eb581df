"""Resource amounts as the scheduler computes them: summed exactly and compared as integers."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil

from dynocheck.facts import parse_quantity

Amounts = dict[str, int]

CPU = "cpu"
MEMORY = "memory"
STORAGE = "ephemeral-storage"
PODS = "pods"

_BINARY = tuple((f"{letter}i", 1024**power) for power, letter in enumerate("KMGTPE", 1))


def parse_exact(text: object) -> Fraction:
    """Parse a quantity.

    :raises ValueError: the text is not a quantity.
    """
    value = parse_quantity(text)
    if value is None:
        raise ValueError(f"{text!r} is not a quantity")
    return value


def scale_amount(resource: str, value: Fraction) -> int:
    """The integer that the scheduler compares, rounded up: millicores of CPU, units of all else."""
    return ceil(value * 1000) if resource == CPU else ceil(value)


def parse_amounts(values: Mapping[str, object]) -> Amounts:
    """Parse a resource list.

    :raises ValueError: a value is not a quantity.
    """
    return {resource: scale_amount(resource, parse_exact(value)) for resource, value in values.items()}


def format_amount(resource: str, value: int) -> str:
    """An amount as a quantity, such as 500m or 1.5Gi."""
    if resource == CPU:
        return str(value // 1000) if value % 1000 == 0 else f"{value}m"
    if resource in (MEMORY, STORAGE) or resource.startswith("hugepages-"):
        for suffix, scale in reversed(_BINARY):
            if abs(value) >= scale:
                tenths = value * 10 // scale
                whole, rest = divmod(tenths, 10)
                return f"{whole}.{rest}{suffix}" if rest else f"{whole}{suffix}"
    return str(value)


def sum_resources(lists: Iterable[Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """The sum of resource lists, by resource."""
    result: dict[str, Fraction] = {}
    for each in lists:
        for resource, value in each.items():
            result[resource] = result.get(resource, Fraction(0)) + value
    return result


def merge_largest(*lists: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """The largest amount of each resource in any of the lists."""
    result: dict[str, Fraction] = {}
    for each in lists:
        for resource, value in each.items():
            result[resource] = max(result.get(resource, value), value)
    return result
