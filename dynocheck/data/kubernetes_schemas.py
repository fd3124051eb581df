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


@cache
def list_releases() -> tuple[Release, ...]:
    """Every release whose definitions are known, the oldest first."""
    return tuple(sorted(Release(*parse_version(release)) for release in _read_file().releases))


def choose_release(server: str = "") -> Release:
    """The release to validate against: the server's own or the nearest known; the newest without a server."""
    oldest, *_, newest = list_releases()
    own = _parse_release(server)
    return newest if own is None else min(max(own, oldest), newest)


def is_known(server: str) -> bool:
    """Whether the definitions of a server's version are known."""
    return _parse_release(server) in list_releases()


def describe_release(server: str = "") -> str:
    """The release to validate against as text, e.g. `Kubernetes 1.36, the nearest known`."""
    chosen = f"Kubernetes {choose_release(server)}"
    if is_known(server):
        return chosen
    return (
        f"{chosen}, the nearest known"
        if _parse_release(server) is not None
        else f"{chosen}, the newest known"
    )


def read_definitions(release: Release) -> dict[str, Schema]:
    """The definitions of a known release, by name without the `io.k8s.` prefix."""
    found = msgspec.json.decode(_read_file().newest, type=dict[str, Schema])
    *before, newest = list_releases()
    if release == newest:
        return found
    changes = msgspec.json.decode(_read_file().earlier, type=dict[str, dict[str, Schema | None]])
    for each in reversed(before):
        changed = found | changes[str(each)]
        found = {name: schema for name, schema in changed.items() if schema is not None}
        if each == release:
            break
    return found


def _parse_release(version: str) -> Release | None:
    """The release of a version such as `v1.36.3`; None if it cannot be parsed."""
    try:
        return Release(*parse_version(version))
    except ValueError:
        return None


@cache
def _read_file() -> _File:
    return msgspec.json.decode(read_table("kubernetes_schemas.json"), type=_File)
