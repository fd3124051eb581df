from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynocheck.scheduling.quantities import format_amount, parse_exact, scale_amount


def test_what_is_no_quantity_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'\$\{GPUS\}' is no quantity"):
        parse_exact("${GPUS}")


@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "M", "Ki", "Mi"]))
def test_amounts_are_whole_and_never_too_small(number: int, suffix: str) -> None:
    value = parse_exact(f"{number}{suffix}")
    assert 0 <= scale_amount("cpu", value) - value * 1000 < 1
    assert 0 <= scale_amount("memory", value) - value < 1


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
    assert format_amount(resource, value) == text
