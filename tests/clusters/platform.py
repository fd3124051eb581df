"""What the area platform needs to be healthy."""

from __future__ import annotations

from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ("dynamo",)


def furnish(cluster: ControlPlane) -> None:
    """Add nothing yet."""
