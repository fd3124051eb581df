"""Which flags `aiperf profile` takes in each release."""

from collections.abc import Mapping
from functools import cache

import msgspec

from dynocheck.data import read_table


class AiperfFlag(msgspec.Struct, frozen=True, rename={"releases": "in"}):
    """A spelling of a flag, the values it takes if these are listed, and the places of its releases."""

    name: str
    choices: tuple[str, ...] = ()
    releases: tuple[int, ...] | None = None


class _Table(msgspec.Struct, frozen=True):
    releases: tuple[str, ...]
    flags: tuple[AiperfFlag, ...]


def list_releases() -> tuple[str, ...]:
    """The releases whose flags are known, oldest first."""
    return _table().releases


@cache
def find_flags(release: str) -> Mapping[str, AiperfFlag]:
    """The flags of a known release by name."""
    at = list_releases().index(release)
    rows = {row.name: row for row in _table().flags if row.releases is None or at in row.releases}
    return {"--help": AiperfFlag("--help"), "-h": AiperfFlag("-h"), **rows}


@cache
def _table() -> _Table:
    return msgspec.json.decode(read_table("aiperf.json"), type=_Table)
