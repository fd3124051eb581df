"""Clusters in one state after another, and what every check must say of each.

A situation changes the cluster that `tests.clusters.furnish` makes and names the checks that turn; no other
may. What they say before it is in tests/outcomes.txt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

Change = Callable[[ControlPlane], object]


@dataclass(frozen=True)
class Situation:
    """What is done to the healthy cluster, and what must come of it.

    `turned` gives the new outcome of each check that changes. `named` is the name of an object that one of
    their findings is about, `says` a name or number that one of their messages must give.
    """

    name: str
    change: Change
    turned: Mapping[str, str] = field(default_factory=dict)
    named: str | None = None
    says: str | None = None
    recipe: str | None = None

    def __str__(self) -> str:
        return self.name


def applied(*objects: Object) -> Change:
    """A change that applies objects."""
    return lambda cluster: cluster.apply(*objects)


def deleted(*objects: Object) -> Change:
    """A change that deletes objects."""

    def change(cluster: ControlPlane) -> None:
        for each in objects:
            cluster.delete(each)

    return change


def undefined(*names: str) -> Change:
    """A change that removes definitions of types."""
    return lambda cluster: cluster.remove_crds(*names)


def steps(*changes: Change) -> Change:
    """A change of several steps."""
    return lambda cluster: [change(cluster) for change in changes]


def with_recipe(recipe: str, *situations: Situation) -> list[Situation]:
    """Situations of a run that is given a recipe."""
    return [replace(each, recipe=recipe) for each in situations]
