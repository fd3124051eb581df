"""The parser of quantities, compared with the API server's."""

import re
from fractions import Fraction
from random import Random

import pytest

from dynocheck.facts import Node, parse_device_count, parse_quantity
from tests.controlplane.api import ApiError, Object
from tests.controlplane.server import ControlPlane
from tests.kinds.claimed import slice_of

SUFFIXES = ("", "n", "u", "m", *"kMGTPE", *(f"{letter}i" for letter in "KMGTPE"))
POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
STORED = re.compile(r"([-+]?[0-9.]+)(?:([KMGTPE])i|([numkMGTPE])|[eE]([-+]?[0-9]+))?")


VALUES = """
0=0 1=1 +1=1 -1=-1 1.=1 .5=1/2 100m=1/10 31850m=637/20 1u=1/1000000 1n=1/1000000000 0.1n=1/1000000000
-0.1n=-1/1000000000 1e-400=1/1000000000 1k=1000 500M=500000000 1E=1000000000000000000 1E3=1000 2e3=2000
1e-3=1/1000 1Ki=1024 1.5Gi=1610612736 1Ei=1152921504606846976 9Ei=9223372036854775807
9223372036854775808=9223372036854775808 m=0
"""
INVALID = [
    "",
    " ",
    "1 Gi",
    *["1gi", "1K", "1KiB", "1,5", "--1", "${GPUS}", "1e", "inf", "٣", "1_000", "0x10", "e", "1e3m"],
]


@pytest.mark.parametrize("case", VALUES.split())
def test_the_value_of_a_quantity(case: str) -> None:
    text, _, value = case.partition("=")
    assert parse_quantity(text) == Fraction(value)


def test_quantities_that_are_not_plain_text() -> None:
    assert [parse_quantity(value) for value in (" 1Gi ", 8, 0.5, 1e22)] == [2**30, 8, Fraction(1, 2), 10**22]
    others: list[object] = [None, True, [], float("inf"), "7" * 10**6]
    assert [parse_quantity(value) for value in others] == [None] * 5


@pytest.mark.parametrize("text", INVALID)
def test_invalid_quantities(text: str) -> None:
    assert parse_quantity(text) is None


def test_whole_numbers_of_devices() -> None:
    written = ("8", "1k", "1Ki", "8000m", "0", "", "8.5", "100m", "-1", "x")
    assert [parse_device_count(text) for text in written] == [8, 1000, 1024, 8, 0, *[None] * 5]


def test_a_node_may_share_a_gpu_among_a_thousand_pods() -> None:
    node = Node("a", allocatable={"nvidia.com/gpu.shared": "1k"}, capacity={"nvidia.com/gpu.shared": "1k"})
    assert (node.gpus, node.gpu_capacity) == (1000, {"nvidia.com/gpu.shared": 1000})


def make_quantity(random: Random) -> str:
    """A random quantity, of any size and precision."""

    def digits(most: int) -> str:
        return "".join(random.choices("00123456789", k=random.randint(1, most)))

    number = random.choice([digits(20), f"{digits(12)}.{digits(14)}", f"{digits(5)}.", f".{digits(12)}"])
    exponent = f"{random.choice('eE')}{random.choice(['', '+', '-'])}{random.randint(0, 25)}"
    suffix = random.choice([*SUFFIXES, exponent])
    space = random.choice(["", "", " "])
    return f"{space}{random.choice(['', '', '+', '-'])}{number}{suffix}{space}"


def make_slice(quantities: list[str]) -> Object:
    """A ResourceSlice with these quantities as capacities: 32 for each of up to 128 devices."""
    devices = [
        {
            "name": f"d{n}",
            "capacity": {f"c{m}": {"value": text} for m, text in enumerate(quantities[n : n + 32])},
        }
        for n in range(0, len(quantities), 32)
    ]
    return slice_of("a", "quantities.example", devices)


def format_on_server(cluster: ControlPlane, quantities: list[str]) -> list[str]:
    """The quantities as the API server formats them."""
    (made,) = cluster.apply(make_slice(quantities))
    cluster.delete(made)
    return [
        device["capacity"][f"c{m}"]["value"]
        for device in made["spec"]["devices"]
        for m in range(len(device["capacity"]))
    ]


def parse_formatted(text: str) -> Fraction:
    """The value of a quantity that the API server has formatted."""
    found = STORED.fullmatch(text)
    assert found, text
    digits, binary, decimal, exponent = found.groups()
    number = Fraction(digits.rstrip("."))
    if binary:
        return number * Fraction(1024) ** ("KMGTPE".index(binary) + 1)
    return number * Fraction(10) ** (int(exponent) if exponent else POWERS[decimal or ""])


def test_the_api_server_parses_the_same_values(cluster: ControlPlane) -> None:
    random = Random(0)
    given = [make_quantity(random) for _ in range(2000)] + ["m", ".", "+", "Ki", ".5", "1.", "9Ei", "-9Ei"]
    means = [parse_formatted(text) for text in format_on_server(cluster, given)]
    assert {text: parse_quantity(text) for text in given} == dict(zip(given, means, strict=True))


@pytest.mark.parametrize("text", [text for text in INVALID if text not in (" ", "${GPUS}")])
def test_the_api_server_rejects_invalid_quantities(cluster: ControlPlane, text: str) -> None:
    assert parse_quantity(text) is None
    with pytest.raises(ApiError):
        format_on_server(cluster, [text])
