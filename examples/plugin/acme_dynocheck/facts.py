"""What Acme's checks look at."""

import msgspec

from dynocheck.facts import ClusterFact, FactList


class PriorityClass(msgspec.Struct, frozen=True):
    """A PriorityClass."""

    name: str
    value: int


class PriorityClasses(ClusterFact, FactList[PriorityClass], frozen=True):
    """Every PriorityClass of the cluster."""


class NamespaceOwner(ClusterFact, frozen=True):
    """The owner that the label of the run's namespace names, if it has one."""

    namespace: str
    owner: str | None
