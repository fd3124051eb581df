"""Releases of the Dynamo platform, and which releases of its neighbours each goes with."""

import re
from functools import cache

import msgspec

from dynocheck.data import parse_version, read_table

# First served in 1.2.0: https://docs.nvidia.com/dynamo/dev/reference/releases
V1BETA1 = (1, 2)
# https://docs.nvidia.com/dynamo/v1.6.1/kubernetes/installation/multinode-orchestration

_PARTS = re.compile(r"v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]+))?")


class Orchestrators(msgspec.Struct, frozen=True):
    """The oldest KAI Scheduler, Grove and LeaderWorkerSet that a release goes with, None where its pages
    name none, and the first Grove that it does not go with.
    """

    dynamo: str
    kai: str | None
    grove: str | None
    lws: str
    grove_below: str | None
    topology: str | None
    source: str


def orchestrators(release: tuple[int, int]) -> Orchestrators | None:
    """The row of a release, or None when the table does not have it."""
    return next((row for row in list_orchestrators() if parse_version(row.dynamo) == release), None)


@cache
def list_orchestrators() -> tuple[Orchestrators, ...]:
    """Every row of the table."""
    return msgspec.json.decode(read_table("orchestrators.json"), type=tuple[Orchestrators, ...])


def parse_semver(version: str) -> tuple[int, int, int, tuple[tuple[int, int, str], ...]] | None:
    """What a semantic version sorts by, or None when it is none. Any suffix is a prerelease."""
    match = _PARTS.fullmatch(version.partition("+")[0])
    if match is None:
        return None
    major, minor, patch, pre = match.groups()
    parts = (part for part in (pre or "").split(".") if part)
    # A release comes after all of its prereleases, numbers before words.
    keys = tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts) or ((2, 0, ""),)
    return int(major), int(minor), int(patch or 0), keys
