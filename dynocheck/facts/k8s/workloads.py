"""Facts about what runs on a cluster for others: operators, controllers, agents on every node."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact, Condition


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment, DaemonSet or StatefulSet: what it should run and what it reports.

    `observed` says that its controller has seen its present shape; before that the numbers are old.
    """

    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = {}
    pod_labels: dict[str, str] = {}
    images: tuple[str, ...] = ()
    node_selector: dict[str, str] = {}
    desired: int = 0
    ready: int = 0
    updated: int = 0
    observed: bool = True
    conditions: tuple[Condition, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether all of it runs, in its present shape, and there is something of it to run."""
        return self.observed and self.desired > 0 and self.ready >= self.desired


class Workloads(ClusterFact, FactList[Workload], frozen=True):
    """Every Deployment, DaemonSet and StatefulSet of the cluster."""
