"""Facts about the Prometheus operator: PodMonitors, and the Prometheus objects that collect from them."""

import msgspec

from dynocheck.facts.k8s.cluster import ClusterFact
from dynocheck.facts.k8s.label_selectors import LabelSelector


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """A Prometheus or PrometheusAgent.

    A `monitors` selector of None selects no PodMonitor, a `namespaces` selector of None its own namespace.
    `available` is the status of its Available condition, None if it has none.
    """

    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = {}
    monitors: LabelSelector | None = None
    namespaces: LabelSelector | None = None
    available: bool | None = None


class PodMonitor(msgspec.Struct, frozen=True, kw_only=True):
    """A PodMonitor and the selector of its pods."""

    namespace: str
    name: str
    labels: dict[str, str] = {}
    pods: LabelSelector = LabelSelector()


class PodMonitors(ClusterFact, frozen=True):
    """The PodMonitors for pods of Dynamo, and the Prometheus objects that could collect from them.

    `served` is false if the cluster has no PodMonitor CRD, `collectors_served` if it has neither the
    Prometheus nor the PrometheusAgent CRD.
    """

    items: tuple[PodMonitor, ...] = ()
    collectors: tuple[Collector, ...] = ()
    served: bool = True
    collectors_served: bool = True
