"""Clusters in one state after another, and what every check must say of each.

A situation changes the cluster that `tests.clusters.furnish` makes and names the checks that turn; no other
may. What they say before it is in tests/outcomes.txt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.controlplane.server import ControlPlane


@dataclass(frozen=True)
class Situation:
    """What is done to the healthy cluster, and what must come of it.

    `turned` gives the new outcome of each check that changes. `named` is the name of an object that one of
    their findings is about, `says` a part of one of their messages.
    """

    name: str
    change: Callable[[ControlPlane], object]
    turned: Mapping[str, str] = field(default_factory=dict)
    named: str | None = None
    says: str | None = None
    recipe: str | None = None

    def __str__(self) -> str:
        return self.name
