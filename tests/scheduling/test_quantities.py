from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynocheck.scheduling.quantities import amount, quantity, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", 1),
        ("+1", 1),
        ("-1", -1),
        ("1.", 1),
        (".5", Fraction(1, 2)),
        ("100m", Fraction(1, 10)),
        ("31850m", Fraction(637, 20)),
        ("1u", Fraction(1, 10**6)),
        ("1n", Fraction(1, 10**9)),
        ("0.1n", Fraction(1, 10**9)),
        ("1k", 1000),
        ("500M", 500 * 10**6),
        ("1E", 10**18),
        ("1E3", 1000),
        ("2e3", 2000),
        ("1e-3", Fraction(1, 1000)),
        ("1Ki", 1024),
        ("1.5Gi", 3 * 2**29),
        ("1Ei", 2**60),
        (8, 8),
        (0.5, Fraction(1, 2)),
    ],
)
def test_every_form_of_a_quantity(text: object, value: Fraction | int) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize(
    "text", ["", "m", "1 Gi", "1gi", "1K", "1KiB", "1,5", "--1", "${GPUS}", "1e", "inf", "٣", None, True, []]
)
def test_what_is_no_quantity(text: object) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "M", "Ki", "Mi"]))
def test_amounts_are_whole_and_never_too_small(number: int, suffix: str) -> None:
    value = quantity(f"{number}{suffix}")
    assert 0 <= amount("cpu", value) - value * 1000 < 1
    assert 0 <= amount("memory", value) - value < 1


@pytest.mark.parametrize(
    ("resource", "value", "text"),
    [
        ("cpu", 8000, "8"),
        ("cpu", 500, "500m"),
        ("memory", 16 * 2**30, "16Gi"),
        ("memory", 3 * 2**29, "1.5Gi"),
        ("memory", 0, "0"),
        ("ephemeral-storage", 2**40, "1Ti"),
        ("nvidia.com/gpu", 8, "8"),
    ],
)
def test_amounts_as_people_write_them(resource: str, value: int, text: str) -> None:
    assert shown(resource, value) == text
