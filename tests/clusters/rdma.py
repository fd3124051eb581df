"""What the area rdma needs to be healthy."""

from __future__ import annotations

from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = ()


def furnish(cluster: ControlPlane) -> None:
    """Add nothing yet."""
