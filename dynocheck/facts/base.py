"""The base classes of facts, the settings, and the exception for a fact that cannot be collected."""

from collections.abc import Iterator
from typing import Annotated, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Fact(msgspec.Struct, frozen=True):
    """A value that checks take as a parameter of its type. Snapshots record it under its class name."""


class FactList(Fact, Generic[T], frozen=True):
    """A fact that is a list of items."""

    items: tuple[T, ...] = ()

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Settings(Fact, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Thresholds that a site can change under `[thresholds]` in its configuration file.

    `kubernetes_version` is the lowest accepted minor version; the default is the minimum of Dynamo's
    installation guide and Helm chart (`kubeVersion`). Credentials that expire within `credentials_hours`
    cause a warning. `read_gigabytes` is the rate in GB/s at which a pod reads its weights; the default of 1
    is an assumption, since the rate depends on the volume.
    """

    kubernetes_version: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^v?[0-9]{1,4}\.[0-9]{1,4}(\.|$)", description='a version in quotes, such as "1.31"'
        ),
    ] = "1.30"
    credentials_hours: Annotated[
        int, msgspec.Meta(ge=0, le=1_000_000, description="a whole number of hours from 0 to 1000000")
    ] = 24
    read_gigabytes: Annotated[
        float, msgspec.Meta(gt=0, le=1000, description="a number above 0, at most 1000")
    ] = 1.0


class Unavailable(Exception):
    """Raised by a probe that cannot collect its fact; the message is the reason, `fix` the remedy."""

    def __init__(self, reason: str, *, fix: str | None = None) -> None:
        super().__init__(reason)
        self.fix = fix
