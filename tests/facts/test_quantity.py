"""What quantities mean, and that the API server reads them so."""

from __future__ import annotations

import re
from fractions import Fraction
from random import Random

import pytest

from dynocheck.facts import Node
from dynocheck.facts.k8s.quantity import parse_device_count, parse_quantity
from tests.controlplane.api import ApiError, Object
from tests.controlplane.server import ControlPlane
from tests.kinds.claimed import slice_of

SUFFIXES = ("", "n", "u", "m", *"kMGTPE", *(f"{letter}i" for letter in "KMGTPE"))
POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
STORED = re.compile(r"([-+]?[0-9.]+)(?:([KMGTPE])i|([numkMGTPE])|[eE]([-+]?[0-9]+))?")


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
        ("-0.1n", Fraction(-1, 10**9)),
        ("1e-400", Fraction(1, 10**9)),
        ("1k", 1000),
        ("500M", 500 * 10**6),
        ("1E", 10**18),
        ("1E3", 1000),
        ("2e3", 2000),
        ("1e-3", Fraction(1, 1000)),
        ("1Ki", 1024),
        ("1.5Gi", 3 * 2**29),
        ("1Ei", 2**60),
        ("9Ei", 2**63 - 1),
        ("9223372036854775808", 2**63),
        (" 1Gi ", 2**30),
        ("m", 0),
        (8, 8),
        (0.5, Fraction(1, 2)),
        (1e22, 10**22),
    ],
)
def test_every_form_of_a_quantity(text: object, value: Fraction | int) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 Gi",
        "1gi",
        "1K",
        "1KiB",
        "1,5",
        "--1",
        "${GPUS}",
        "1e",
        "inf",
        "٣",
        "1_000",
        "0x10",
        "7" * 10**6,
    ],
)
def test_what_is_no_quantity(text: str) -> None:
    assert parse_quantity(text) is None


def test_what_no_quantity_is_written_as() -> None:
    given: list[object] = [None, True, [], float("inf"), "7" * 10**6]
    assert [parse_quantity(value) for value in given] == [None] * 5


def test_whole_numbers_of_devices() -> None:
    written = ("8", "1k", "1Ki", "8000m", "0", "", "8.5", "100m", "-1", "x")
    assert [parse_device_count(text) for text in written] == [8, 1000, 1024, 8, 0, *[None] * 5]


def test_a_node_that_shares_its_gpus_among_a_thousand_pods_has_gpus() -> None:
    node = Node("a", allocatable={"nvidia.com/gpu.shared": "1k"}, capacity={"nvidia.com/gpu.shared": "1k"})
    assert (node.gpus, node.gpu_capacity) == (1000, {"nvidia.com/gpu.shared": 1000})


def written(random: Random) -> str:
    """Some quantity, of any size and precision."""

    def digits(most: int) -> str:
        return "".join(random.choices("00123456789", k=random.randint(1, most)))

    number = random.choice([digits(20), f"{digits(12)}.{digits(14)}", f"{digits(5)}.", f".{digits(12)}"])
    exponent = f"{random.choice('eE')}{random.choice(['', '+', '-'])}{random.randint(0, 25)}"
    suffix = random.choice([*SUFFIXES, exponent])
    space = random.choice(["", "", " "])
    return f"{space}{random.choice(['', '', '+', '-'])}{number}{suffix}{space}"


def capacities(given: list[str]) -> Object:
    """Something that holds quantities of any kind: a device may have 32 of them, a slice 128 devices."""
    devices = [
        {"name": f"d{n}", "capacity": {f"c{m}": {"value": text} for m, text in enumerate(given[n : n + 32])}}
        for n in range(0, len(given), 32)
    ]
    return slice_of("a", "quantities.example", devices)


def stored(cluster: ControlPlane, given: list[str]) -> list[str]:
    """The same as the API server writes them."""
    (made,) = cluster.apply(capacities(given))
    cluster.delete(made)
    return [
        device["capacity"][f"c{m}"]["value"]
        for device in made["spec"]["devices"]
        for m in range(len(device["capacity"]))
    ]


def plainly(text: str) -> Fraction:
    """What a quantity means that the server has read and written: no finer than it can be."""
    found = STORED.fullmatch(text)
    assert found, text
    digits, binary, decimal, exponent = found.groups()
    number = Fraction(digits.rstrip("."))
    if binary:
        return number * Fraction(1024) ** ("KMGTPE".index(binary) + 1)
    return number * Fraction(10) ** (int(exponent) if exponent else POWERS[decimal or ""])


def test_the_api_server_reads_quantities_so(cluster: ControlPlane) -> None:
    random = Random(0)
    given = [written(random) for _ in range(2000)] + ["m", ".", "+", "Ki", ".5", "1.", "9Ei", "-9Ei"]
    means = [plainly(text) for text in stored(cluster, given)]
    assert {text: parse_quantity(text) for text in given} == dict(zip(given, means, strict=True))


@pytest.mark.parametrize(
    "text", ["", "1 Gi", "1gi", "1K", "1KiB", "1,5", "--1", "1e", "inf", "٣", "1_000", "0x10", "e", "1e3m"]
)
def test_the_api_server_refuses_what_is_no_quantity(cluster: ControlPlane, text: str) -> None:
    assert parse_quantity(text) is None
    with pytest.raises(ApiError):
        stored(cluster, [text])
