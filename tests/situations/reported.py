"""What scripts and tools that look at clusters have been reported to judge wrongly.

More of these stand in the modules of their areas and in `tests.kinds`: managed GPUs without labels or
operator, an operator that runs and is not ready, a controller without pods, a Gateway in another namespace,
releases of the inference extension, RDMA under another name.
"""

from __future__ import annotations

from tests import clusters
from tests.clusters import gpu, storage
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

UNLABELLED = {"gpu.homogeneous": "skip", "driver.cuda-matrix": "skip", "rdma.resources": "skip"}


def nodes_offer(cluster: ControlPlane, resource: str, amount: str) -> None:
    """Nodes that say nothing of GPUs but what can be allocated."""
    for name in clusters.GPU_NODES:
        cluster.delete(clusters.node(name))
        cluster.node(name, capacity={resource: amount})


def unlabelled_mig(cluster: ControlPlane) -> None:
    nodes_offer(cluster, "nvidia.com/mig-1g.18gb", "56")


def other_maker(cluster: ControlPlane) -> None:
    nodes_offer(cluster, "gpu.intel.com/xe", "8")


def old_annotation(cluster: ControlPlane) -> None:
    found = storage.storage_class(default=False)
    found["metadata"]["annotations"] = {"storageclass.beta.kubernetes.io/is-default-class": "true"}
    cluster.apply(found)


def one_pod_of_two(cluster: ControlPlane) -> None:
    cluster.pod("gpu-operator-new", "gpu-operator", node="gpu-2", labels=clusters.OPERATOR, ready=False)


def renamed_exporter(cluster: ControlPlane) -> None:
    exporter = gpu.operand("nvidia-dcgm-exporter")
    cluster.delete(exporter)
    exporter["metadata"]["name"] = "nvidia-dcgm-dra"
    cluster.apply(exporter)


SITUATIONS = [
    Situation("MIG slices on nodes without labels", unlabelled_mig, UNLABELLED | {"gpu.mig": "pass"}),
    Situation(
        "GPUs of another vendor",
        other_maker,
        UNLABELLED | dict.fromkeys(("gpu.nodes-present", "gpu.allocatable", "gpu.nodes-ready"), "skip"),
        says="another vendor: gpu.intel.com/xe",
    ),
    Situation("a default class by the old annotation", old_annotation),
    Situation("one of two operator pods is not ready", one_pod_of_two, {"gpu.operator": "warn"}),
    Situation("an exporter of another name", renamed_exporter),
]
