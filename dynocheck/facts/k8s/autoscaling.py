"""Facts about who may add nodes to a cluster when pods find none."""

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class Autoscalers(ClusterFact, FactList[str], frozen=True):
    """Whoever adds nodes: `Karpenter`, or a Cluster Autoscaler by the namespace that it tells its status in.

    `unseen` says why nobody can tell whether there is a Cluster Autoscaler.
    """

    unseen: str = ""

    def __str__(self) -> str:
        return " or ".join(self.items)
