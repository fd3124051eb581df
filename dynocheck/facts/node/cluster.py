"""What the GPU nodes of a cluster say about themselves."""

import msgspec
from msgspec.structs import replace

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import Node, Nodes
from dynocheck.facts.node.machine import (
    NodeCounters,
    NodeFabric,
    NodeGpus,
    NodeHost,
    NodeKernelLog,
    NodePackages,
    NodeRdma,
    NodeTopology,
)

_WHOLE = "nvidia.com/gpu"
_SHARED = ("nvidia.com/gpu.sharing-strategy", "nvidia.com/gpu.replicas")


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """A node as a pod on it sees it. `unseen` is why no pod could look, and then there are no facts."""

    name: str
    unseen: str | None = None
    fix: str | None = None
    gpus: NodeGpus = msgspec.field(default_factory=NodeGpus)
    host: NodeHost = msgspec.field(default_factory=NodeHost)
    rdma: NodeRdma = msgspec.field(default_factory=NodeRdma)
    log: NodeKernelLog = msgspec.field(default_factory=NodeKernelLog)
    topology: NodeTopology = msgspec.field(default_factory=NodeTopology)
    fabric: NodeFabric = msgspec.field(default_factory=NodeFabric)
    counters: NodeCounters = msgspec.field(default_factory=NodeCounters)
    packages: NodePackages = msgspec.field(default_factory=NodePackages)


class NodeReports(FactList[NodeReport], frozen=True):
    """The GPU nodes of a cluster, each with what a pod on it saw or why there was none."""

    @property
    def seen(self) -> tuple[NodeReport, ...]:
        """Those that a pod could look at."""
        return tuple(report for report in self.items if report.unseen is None)


def apply_reports(nodes: Nodes, reports: NodeReports) -> Nodes:
    """The nodes, with what they said of their driver and GPUs in place of labels and capacity."""
    seen = {report.name: report.gpus for report in reports.seen}
    return Nodes(tuple(_apply(node, seen[node.name]) if node.name in seen else node for node in nodes))


def _apply(node: Node, gpus: NodeGpus) -> Node:
    """Nothing is known better of a shared GPU or of MIG slices, which the device plugin makes."""
    labels, allocatable = dict(node.labels), dict(node.allocatable)
    if gpus.driver:
        labels["nvidia.com/cuda.driver-version.full"] = gpus.driver
    count = len(gpus.usable)
    if not count:
        return replace(node, labels=labels)
    if not any(key in labels for key in _SHARED) and not any(gpu.mig for gpu in gpus.usable):
        first = gpus.usable[0]
        labels.setdefault("nvidia.com/gpu.product", first.name.replace(" ", "-"))
        labels |= {"nvidia.com/gpu.memory": str(first.memory_mib)} if first.memory_mib else {}
        labels["nvidia.com/gpu.count"] = str(count)
        if node.gpu_resources.get(_WHOLE, 0) > count:
            allocatable[_WHOLE] = str(count)
    return replace(node, labels=labels, allocatable=allocatable)
