"""Facts about the Prometheus operator's objects: who collects metrics, and from which monitors."""

import msgspec

from dynocheck.facts.k8s.cluster import ClusterFact


class Requirement(msgspec.Struct, frozen=True):
    """An expression of a label selector: a key, `In`, `NotIn`, `Exists` or `DoesNotExist`, and values."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether labels meet it, as Kubernetes has it: what is not there is not in any list."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels
        return False


class LabelSelector(msgspec.Struct, frozen=True):
    """A label selector; one that says nothing matches everything."""

    labels: dict[str, str] = {}
    expressions: tuple[Requirement, ...] = ()

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether these labels meet all of it."""
        return all(labels.get(key) == value for key, value in self.labels.items()) and all(
            expression.matches(labels) for expression in self.expressions
        )

    @property
    def keys(self) -> set[str]:
        """The labels that it looks at."""
        return {*self.labels, *(expression.key for expression in self.expressions)}

    def __str__(self) -> str:
        parts = [f"{key}={value}" for key, value in self.labels.items()]
        for each in self.expressions:
            values = f" ({', '.join(each.values)})" if each.values else ""
            parts.append(f"{each.key} {each.operator}{values}")
        return ", ".join(parts) or "everything"


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
