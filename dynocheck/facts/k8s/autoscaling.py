"""Facts about node autoscalers."""

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class Autoscalers(ClusterFact, FactList[str], frozen=True):
    """The node autoscalers: `Karpenter`, or a Cluster Autoscaler with its namespace.

    `unseen` is the reason why a Cluster Autoscaler could not be looked for.
    """

    unseen: str = ""

    def __str__(self) -> str:
        return " or ".join(self.items)
