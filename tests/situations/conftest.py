"""The cluster of which `preflight --strict` has nothing to tell."""

import pytest

from tests import clusters
from tests.clusters import gpu, rdma
from tests.controlplane.server import ControlPlane
from tests.situations.test_threads import HOSTNAME, LAYERS


@pytest.fixture
def quiet_cluster(fit_cluster: ControlPlane) -> ControlPlane:
    """The fit cluster, with the labels that leave nothing unjudged."""
    fit_cluster.apply(gpu.cluster_policy(rdma={"enabled": True}))
    for name in clusters.GPU_NODES:
        labels = {**clusters.GPU_LABELS, **LAYERS, HOSTNAME: name}
        fit_cluster.node(name, gpus=8, labels=labels)
        rdma.devices(fit_cluster, name, {"rdma/ib": "8"})
    return fit_cluster
