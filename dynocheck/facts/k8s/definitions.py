"""Facts about custom kinds: which versions of each an API server takes, by which schemas."""

from typing import Any, NamedTuple

import msgspec

from dynocheck.facts.base import Fact, FactList


class DefinitionPaths(NamedTuple):
    """The paths to definitions that the user named: what the probe of definitions looks at."""

    items: tuple[str, ...]


class CustomVersion(msgspec.Struct, frozen=True):
    """A version of a custom kind; `schema` is its openAPIV3Schema, None where it has none."""

    name: str
    served: bool
    schema: dict[str, Any] | None = None


class CustomKind(msgspec.Struct, frozen=True):
    """What a CustomResourceDefinition defines; `source` says in words where it was read."""

    group: str
    kind: str
    versions: tuple[CustomVersion, ...]
    source: str

    @property
    def served_versions(self) -> tuple[str, ...]:
        return tuple(version.name for version in self.versions if version.served)


class GivenKinds(FactList[CustomKind], frozen=True):
    """The custom kinds whose definitions the user named."""


class ServedKinds(FactList[CustomKind], frozen=True):
    """The custom kinds of a cluster, of the groups that recipes use; `reason` is why they are not known."""

    reason: str = ""


class ServerVersion(Fact, frozen=True):
    """The version of the API server that is to take the objects, which decides what Kubernetes' own kinds
    look like; `reason` is why it is not known. Unlike `ApiServer` it is a fact when the server cannot be had.
    """

    version: str = ""
    reason: str = ""
