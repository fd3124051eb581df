"""The definitions of Kubernetes' own kinds, as each of its releases publishes them."""

from functools import cache
from typing import Any, NamedTuple

import msgspec

from dynocheck.data import parse_version, read_table

Schema = dict[str, Any]


class Release(NamedTuple):
    """A minor release of Kubernetes, such as 1.36."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class _File(msgspec.Struct):
    """`releases` names the patch that each was read from.

    `earlier` says of each release but the newest what differs in it from the one that follows.
    """

    releases: dict[str, str]
    newest: msgspec.Raw
    earlier: msgspec.Raw


def releases() -> tuple[Release, ...]:
    """Every release whose definitions are known, the oldest first."""
    return tuple(sorted(Release(*parse_version(release)) for release in _file().releases))


def choose(server: str = "") -> Release:
    """The release to judge by: the one of a server's version, or the nearest; the newest without a server."""
    oldest, *_, newest = releases()
    own = _release(server)
    return newest if own is None else min(max(own, oldest), newest)


def knows(server: str) -> bool:
    """Whether the definitions of a server of this version are known."""
    return _release(server) in releases()


def describe(server: str = "") -> str:
    """The release to judge by in words, and why it was chosen where it is not the server's own."""
    chosen = f"Kubernetes {choose(server)}"
    if knows(server):
        return chosen
    return f"{chosen}, the nearest known" if _release(server) is not None else f"{chosen}, the newest known"


def definitions(release: Release) -> dict[str, Schema]:
    """What a known release defines, by names without their `io.k8s.`."""
    found = msgspec.json.decode(_file().newest, type=dict[str, Schema])
    *before, newest = releases()
    if release == newest:
        return found
    changes = msgspec.json.decode(_file().earlier, type=dict[str, dict[str, Schema | None]])
    for each in reversed(before):
        changed = found | changes[str(each)]
        found = {name: schema for name, schema in changed.items() if schema is not None}
        if each == release:
            break
    return found


def _release(version: str) -> Release | None:
    """The release of a version such as `v1.36.3`; None when that cannot be told."""
    try:
        return Release(*parse_version(version))
    except ValueError:
        return None


@cache
def _file() -> _File:
    return msgspec.json.decode(read_table("kubernetes_schemas.json"), type=_File)
