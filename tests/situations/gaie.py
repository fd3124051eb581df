"""The area gaie."""

from __future__ import annotations

from tests import clusters
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

HEALTHY = {"gaie.crds": "pass"}


def half_of_gaie(cluster: ControlPlane) -> None:
    cluster.delete(clusters.crd("inferenceobjectives.inference.networking.x-k8s.io"))


def no_pools(cluster: ControlPlane) -> None:
    cluster.delete(clusters.crd("inferencepools.inference.networking.k8s.io"))


SITUATIONS = [
    Situation(
        "half of the inference extension",
        half_of_gaie,
        {"gaie.crds": "fail"},
        "inferenceobjectives.inference.networking.x-k8s.io",
    ),
    Situation("no pools", no_pools, {"gaie.crds": "fail"}, "inferencepools.inference.networking.k8s.io"),
]
