"""Resources as the scheduler counts them: added up exactly, and compared as whole amounts."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil

from dynocheck.facts.k8s.quantity import parse_quantity

Amounts = dict[str, int]

CPU = "cpu"
MEMORY = "memory"
STORAGE = "ephemeral-storage"
PODS = "pods"

_BINARY = tuple((f"{letter}i", 1024**power) for power, letter in enumerate("KMGTPE", 1))


def parse_exact(written: object) -> Fraction:
    """The number that a quantity means.

    :raises ValueError: it is none.
    """
    value = parse_quantity(written)
    if value is None:
        raise ValueError(f"{written!r} is no quantity")
    return value


def scale_amount(resource: str, value: Fraction) -> int:
    """The whole number that the scheduler compares: thousandths of a CPU, units of everything else."""
    return ceil(value * 1000) if resource == CPU else ceil(value)


def parse_amounts(values: Mapping[str, object]) -> Amounts:
    """The amounts of a resource list.

    :raises ValueError: a value is no quantity.
    """
    return {resource: scale_amount(resource, parse_exact(value)) for resource, value in values.items()}


def format_amount(resource: str, value: int) -> str:
    """An amount as people write it."""
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
    """The sum of resource lists."""
    result: dict[str, Fraction] = {}
    for each in lists:
        for resource, value in each.items():
            result[resource] = result.get(resource, Fraction(0)) + value
    return result


def merge_largest(*lists: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Of each resource the most that one of the lists has."""
    result: dict[str, Fraction] = {}
    for each in lists:
        for resource, value in each.items():
            result[resource] = max(result.get(resource, value), value)
    return result
