"""Tables of facts about the world, each row with its source beside it."""

from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

NEWEST_GAIE = (1, 6)  # the newest release whose set of definitions is in gaie.json


class Provisioner(msgspec.Struct, frozen=True):
    """Whether volumes of this provisioner can be ReadWriteMany filesystems; `depends` on what `note` says."""

    provisioner: str
    rwx: Literal["yes", "no", "depends"]
    source: str
    note: str = ""


class GaieCrd(msgspec.Struct, frozen=True):
    """A CustomResourceDefinition of the Gateway API Inference Extension and the releases that bring it."""

    definition: str
    since: str
    until: str | None
    source: str

    def ships_in(self, release: tuple[int, int]) -> bool:
        """Whether this release, as major and minor, brings it."""
        return parse_version(self.since) <= release and (
            self.until is None or release <= parse_version(self.until)
        )


def parse_version(version: str) -> tuple[int, int]:
    """Major and minor of a version such as `1.30`, `v1.36.3+k3s1` or `1.30-gke.1`.

    :raises ValueError: it is no such version.
    """
    major, _, rest = version.removeprefix("v").partition(".")
    digits = rest.partition(".")[0]
    return int(major), int("".join(c for c in digits.partition("-")[0] if c.isdecimal()))


def provisioner(name: str) -> Provisioner | None:
    """The row of a StorageClass's provisioner, or None when the table does not have it.

    A driver may be deployed under a prefix of its own: `rook-ceph.cephfs.csi.ceph.com` is CephFS.
    """
    rows = _provisioners()
    if name in rows:
        return rows[name]
    tail = name.rpartition("/")[2]
    while tail and tail not in rows:
        tail = tail.partition(".")[2]
    return rows.get(tail)


@cache
def gaie_crds() -> tuple[GaieCrd, ...]:
    """Every definition that a release of the Gateway API Inference Extension brings."""
    return msgspec.json.decode(read_table("gaie.json"), type=tuple[GaieCrd, ...])


@cache
def _provisioners() -> dict[str, Provisioner]:
    rows = msgspec.json.decode(read_table("provisioners.json"), type=list[Provisioner])
    return {row.provisioner: row for row in rows}


def read_table(name: str) -> bytes:
    """A table's file."""
    return (files(__name__) / name).read_bytes()
