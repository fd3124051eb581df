"""Facts about custom kinds: their served versions and schemas, and the API server's version."""

from typing import Any, NamedTuple

import msgspec

from dynocheck.facts.base import Fact, FactList


class DefinitionPaths(NamedTuple):
    """The paths to CustomResourceDefinitions that the user named: the input of the probe of definitions."""

    items: tuple[str, ...]


class CustomVersion(msgspec.Struct, frozen=True):
    """A version of a custom kind; `schema` is its openAPIV3Schema, None if it has none."""

    name: str
    served: bool
    schema: dict[str, Any] | None = None


class CustomKind(msgspec.Struct, frozen=True):
    """A kind that a CustomResourceDefinition defines; `source` is where that was read, for messages."""

    group: str
    kind: str
    versions: tuple[CustomVersion, ...]
    source: str

    @property
    def served_versions(self) -> tuple[str, ...]:
        return tuple(version.name for version in self.versions if version.served)


class GivenKinds(FactList[CustomKind], frozen=True):
    """The custom kinds in the definitions that the user named."""


class ServedKinds(FactList[CustomKind], frozen=True):
    """The custom kinds of a cluster in the API groups that recipes use; `reason` is why they are unknown.

    `groups` are the names of all API groups that it serves, if they are known.
    """

    reason: str = ""
    groups: tuple[str, ...] = ()


class ServerVersion(Fact, frozen=True):
    """The version of the API server, which selects the schemas of built-in kinds; `reason` is why it is
    unknown. Unlike `ApiServer`, this fact exists without a server.
    """

    version: str = ""
    reason: str = ""
