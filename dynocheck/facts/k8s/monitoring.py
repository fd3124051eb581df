"""Facts about the Prometheus operator's objects: who collects metrics, and from which monitors."""

import msgspec

from dynocheck.facts.k8s.cluster import ClusterFact
from dynocheck.facts.k8s.label_selectors import LabelSelector


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """A Prometheus or PrometheusAgent.

    A `monitors` selector of None selects no PodMonitor, a `namespaces` selector of None its own namespace.
    `available` is what its condition of that name says, None when it has none.
    """

    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = {}
    monitors: LabelSelector | None = None
    namespaces: LabelSelector | None = None
    available: bool | None = None


class PodMonitor(msgspec.Struct, frozen=True, kw_only=True):
    """A PodMonitor and the pods that it is for."""

    namespace: str
    name: str
    labels: dict[str, str] = {}
    pods: LabelSelector = LabelSelector()


class PodMonitors(ClusterFact, frozen=True):
    """The PodMonitors that look for pods of Dynamo, and who could read them.

    `served` is false where the cluster has no such type, `collectors_served` where it has no Prometheus
    and no PrometheusAgent.
    """

    items: tuple[PodMonitor, ...] = ()
    collectors: tuple[Collector, ...] = ()
    served: bool = True
    collectors_served: bool = True
