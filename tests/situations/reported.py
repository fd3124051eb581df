"""What scripts and tools that look at clusters have been reported to judge wrongly.

More of these stand in the modules of their areas and in `tests.kinds`: managed GPUs without labels or
operator, an operator that runs and is not ready, a controller without pods, a Gateway in another namespace,
releases of the inference extension, RDMA under another name.
"""

from tests import clusters
from tests.clusters import gpu, storage
from tests.controlplane.server import ControlPlane
from tests.situations import Change, Situation, applied, deleted, steps

UNLABELLED = dict.fromkeys(
    ("gpu.homogeneous", "driver.cuda-matrix", "rdma.gpudirect", "rdma.resources"), "skip"
)
NO_GPUS = dict.fromkeys(("gpu.nodes-present", "gpu.allocatable", "gpu.nodes-ready"), "skip")
OLD_ANNOTATION = {"storageclass.beta.kubernetes.io/is-default-class": "true"}
EXPORTER = gpu.operand("nvidia-dcgm-exporter")
RENAMED = {**EXPORTER, "metadata": {**EXPORTER["metadata"], "name": "nvidia-dcgm-dra"}}


def nodes_offer(resource: str, amount: str) -> Change:
    """Nodes that say nothing of GPUs but what can be allocated."""

    def change(cluster: ControlPlane) -> None:
        for name in clusters.GPU_NODES:
            cluster.delete(clusters.node(name))
            cluster.node(name, capacity={resource: amount})

    return change


def one_pod_of_two(cluster: ControlPlane) -> None:
    cluster.pod("gpu-operator-new", "gpu-operator", node="gpu-2", labels=clusters.OPERATOR, ready=False)


SITUATIONS = [
    Situation(
        "MIG slices on nodes without labels",
        nodes_offer("nvidia.com/mig-1g.18gb", "56"),
        UNLABELLED | {"gpu.mig": "pass", "driver.cuda-matrix": "unjudged"},
    ),
    Situation(
        "GPUs of another vendor",
        nodes_offer("gpu.intel.com/xe", "8"),
        UNLABELLED | NO_GPUS,
        says="gpu.intel.com/xe",
    ),
    Situation(
        "a default class by the old annotation", applied(storage.storage_class(annotations=OLD_ANNOTATION))
    ),
    Situation("one of two operator pods is not ready", one_pod_of_two, {"gpu.operator": "warn"}),
    Situation("an exporter of another name", steps(deleted(EXPORTER), applied(RENAMED))),
]
