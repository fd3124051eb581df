"""Facts about the workloads of a cluster, such as operators, controllers and node agents."""

from typing import Any

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact, Condition


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment, DaemonSet or StatefulSet: its pod template and status.

    `observed` is true if its controller has seen the current generation; otherwise the numbers are outdated.
    `pods` is the number of its pods, None if unknown. `addresses` are the values of its arguments --natsAddr
    and --etcdAddr, without passwords. `node_terms`, the terms of its required node affinity, and
    its tolerations are those of a DaemonSet alone, which has a pod on each node that they admit.
    """

    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = {}
    pod_labels: dict[str, str] = {}
    images: tuple[str, ...] = ()
    node_selector: dict[str, str] = {}
    addresses: tuple[str, ...] = ()
    node_terms: tuple[dict[str, Any], ...] = ()
    tolerations: tuple[dict[str, Any], ...] = ()
    priority_class: str = ""
    desired: int = 0
    ready: int = 0
    updated: int = 0
    pods: int | None = None
    observed: bool = True
    conditions: tuple[Condition, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether it has pods to run, and all of them are ready in the current generation."""
        return self.observed and self.desired > 0 and self.ready >= self.desired

    @property
    def refusal(self) -> str:
        """What the API server answers when its pods are created; empty where it creates them."""
        failures = (c for c in self.conditions if c.type == "ReplicaFailure" and c.status == "True")
        return next((c.message or c.reason for c in failures), "")


class Workloads(ClusterFact, FactList[Workload], frozen=True):
    """Every Deployment, DaemonSet and StatefulSet of the cluster."""
