"""What the area gaie needs to be healthy."""

from __future__ import annotations

from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = (
    "gateway-api/v1.5.1",
    "gaie/v1.2.1",
)


def furnish(cluster: ControlPlane) -> None:
    """Add nothing yet."""
