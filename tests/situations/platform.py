"""The area platform."""

from __future__ import annotations

from tests import clusters
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

HEALTHY = {"platform.crds": "pass"}


def no_graphs(cluster: ControlPlane) -> None:
    cluster.delete(clusters.crd("dynamographdeployments.nvidia.com"))


def no_components(cluster: ControlPlane) -> None:
    cluster.delete(clusters.crd("dynamocomponentdeployments.nvidia.com"))


def no_discovery(cluster: ControlPlane) -> None:
    cluster.delete(clusters.crd("dynamoworkermetadatas.nvidia.com"))


def no_models(cluster: ControlPlane) -> None:
    cluster.delete(clusters.crd("dynamomodels.nvidia.com"))


SITUATIONS = [
    Situation("no graphs", no_graphs, {"platform.crds": "fail"}, "dynamographdeployments.nvidia.com"),
    Situation(
        "no components", no_components, {"platform.crds": "fail"}, "dynamocomponentdeployments.nvidia.com"
    ),
    Situation("no discovery", no_discovery, {"platform.crds": "fail"}, "dynamoworkermetadatas.nvidia.com"),
    Situation("no models", no_models, {"platform.crds": "warn"}, "dynamomodels.nvidia.com"),
]
