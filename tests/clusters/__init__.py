"""A cluster that is fit for Dynamo, made on the test control plane, to be spoilt one thing at a time."""

from pathlib import Path

from tests.clusters import gaie, gpu, monitoring, platform, rdma, storage
from tests.clusters.gpu import GPU_LABELS, GPU_NODES, OPERATOR
from tests.clusters.objects import make_object
from tests.clusters.rdma import LAYERS
from tests.clusters.storage import storage_class
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

__all__ = [
    "GPU_LABELS",
    "GPU_NODES",
    "HOSTNAME",
    "LAYERS",
    "OPERATOR",
    "furnish",
    "list_crds",
    "node",
    "quieten",
    "storage_class",
]
HOSTNAME = "kubernetes.io/hostname"


def node(name: str) -> Object:
    """What names a node, to be deleted."""
    return make_object("Node", name)


def list_crds(crds: Path) -> list[Path]:
    """Where the types of all that the cluster has are."""
    return [crds / folder for area in (gpu, platform, gaie, rdma, monitoring) for folder in area.CRDS]


def furnish(cluster: ControlPlane) -> None:
    """Add nodes and everything that runs on them."""
    for area in (storage, gpu, platform, gaie, rdma, monitoring):
        area.furnish(cluster)


def quieten(cluster: ControlPlane) -> None:
    """Add the labels and devices that leave nothing unjudged in a furnished cluster."""
    cluster.apply(gpu.cluster_policy(rdma={"enabled": True}))
    for name in GPU_NODES:
        cluster.node(name, gpus=8, labels={**GPU_LABELS, **LAYERS, HOSTNAME: name})
        rdma.devices(cluster, name, {"rdma/ib": "8"})
