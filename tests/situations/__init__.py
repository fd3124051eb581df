"""Clusters in one state after another, and what every check must say of each.

An area's module here has `SITUATIONS`, and `HEALTHY`: what its checks say of the cluster that
`tests.clusters.furnish` makes. A situation changes that cluster and names the checks that turn; no other may.
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
