"""What every fact is."""

from collections.abc import Iterator
from typing import Annotated, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Fact(msgspec.Struct, frozen=True):
    """A value that checks may ask for by its type. Its class name is its name in a snapshot."""


class FactList(Fact, Generic[T], frozen=True):
    """A fact that is a list of things."""

    items: tuple[T, ...] = ()

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class Settings(Fact, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The thresholds that a site may move, from `[thresholds]` of its configuration file.

    `kubernetes_version` is the lowest minor version accepted. The default is what Dynamo's
    installation guide and its Helm chart (`kubeVersion`) ask for. Credentials that end within
    `credentials_hours` are warned of. `read_gigabytes` is how many GB a second a pod reads of its
    weights; 1 is an assumption, not a measurement, for that depends on the volume they lie on.
    """

    kubernetes_version: str = "1.30"
    credentials_hours: int = 24
    read_gigabytes: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0


class Unavailable(Exception):
    """Raised by a probe whose fact cannot be had. Its text says why, `fix` what would help."""

    def __init__(self, reason: str, *, fix: str | None = None) -> None:
        super().__init__(reason)
        self.fix = fix
