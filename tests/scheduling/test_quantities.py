import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynocheck.scheduling.quantities import format_amount, parse_exact, scale_amount


def test_malformed_quantity_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"'\$\{GPUS\}' is not a quantity"):
        parse_exact("${GPUS}")


@given(st.integers(0, 10**15), st.sampled_from(["", "m", "k", "M", "Ki", "Mi"]))
def test_amounts_are_rounded_up(number: int, suffix: str) -> None:
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
def test_amounts_are_formatted_as_quantities(resource: str, value: int, text: str) -> None:
    assert format_amount(resource, value) == text
