"""Outcomes of preflight on clusters that many tests use, in tests/outcomes.txt, renewed by `make renew`."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.wording import RENEW

FILE = Path(__file__).with_name("outcomes.txt")
COLUMNS = {
    "fit": "a cluster that is fit for Dynamo",
    "bare": "a cluster without anything",
    "kinds": "the healthy clusters of tests/kinds, each of which names what differs there",
}
_ABSENT = "-"

_seen: dict[str, dict[str, str]] = defaultdict(dict)


def read(column: str) -> dict[str, str]:
    """The outcomes of one column, by check."""
    rows = [line.split() for line in FILE.read_text().splitlines() if not line.startswith("#")]
    place = ("check", *COLUMNS).index(column)
    return {row[0]: row[place] for row in rows[1:] if row[place] != _ABSENT}


def compare(column: str, found: Mapping[str, str], differing: Mapping[str, str] | None = None) -> None:
    """Compare a cluster's outcomes with a column, or make them the column where the file is renewed.

    :param differing: the outcomes in which this cluster differs from the column.
    """
    differing = differing or {}
    if RENEW in os.environ:
        _seen[column] |= {check: outcome for check, outcome in found.items() if check not in differing}
    else:
        assert found == {**read(column), **differing}


def write() -> None:
    """Make what was seen in this run the file; a column that was not seen stays."""
    columns = [_seen.get(column) or read(column) for column in COLUMNS]
    checks = sorted({check for column in columns for check in column})
    rows = [("check", *COLUMNS)]
    rows += [(check, *(column.get(check, _ABSENT) for column in columns)) for check in checks]
    lines = [f"# {column}: {what}" for column, what in COLUMNS.items()]
    lines += ["".join((f"{row[0]:<28}", *(f"{cell:<9}" for cell in row[1:]))).rstrip() for row in rows]
    FILE.write_text("".join(f"{line}\n" for line in lines))
