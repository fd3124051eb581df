"""What the GPU nodes of a cluster say about themselves."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.node.machine import NodeGpus, NodeHost, NodeKernelLog, NodeRdma


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """A node as a pod on it sees it. `unseen` is why no pod could look, and then there are no facts."""

    name: str
    unseen: str | None = None
    fix: str | None = None
    gpus: NodeGpus = msgspec.field(default_factory=NodeGpus)
    host: NodeHost = msgspec.field(default_factory=NodeHost)
    rdma: NodeRdma = msgspec.field(default_factory=NodeRdma)
    log: NodeKernelLog = msgspec.field(default_factory=NodeKernelLog)


class NodeReports(FactList[NodeReport], frozen=True):
    """The GPU nodes of a cluster, each with what a pod on it saw or why there was none."""

    @property
    def seen(self) -> tuple[NodeReport, ...]:
        """Those that a pod could look at."""
        return tuple(report for report in self.items if report.unseen is None)
