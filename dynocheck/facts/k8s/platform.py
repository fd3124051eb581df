"""Facts about the Dynamo platform: its operators, their webhooks, and their CRDs."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact
from dynocheck.facts.k8s.label_selectors import Selector
from dynocheck.facts.k8s.workloads import Workload, Workloads


class ServiceName(NamedTuple):
    """The namespace and name of a Service."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Certificates(msgspec.Struct, frozen=True):
    """The certificates of a CA bundle.

    `count` is the number of certificates, `expiries` are those of the certificate authorities in seconds
    since 1970. `problem` is the reason why the bundle cannot be parsed.
    """

    count: int = 0
    expiries: tuple[int, ...] = ()
    problem: str = ""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An admission or conversion webhook; `service` is None if it is called by URL.

    `resources` are those of pods, services, podcliquesets and leaderworkersets that it is called for,
    `versions` are the apiVersions of graphs in its rules. `selector` and `objects` select namespaces and
    objects; `conditional` is true if expressions decide as well for which requests it is called.
    """

    kind: str
    configuration: str
    name: str
    service: ServiceName | None = None
    bundle: Certificates | None = None
    blocking: bool = True
    namespaces: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    selector: Selector = Selector()
    objects: Selector = Selector()
    conditional: bool = False
    resources: tuple[str, ...] = ("pods",)


class AdmissionWebhooks(ClusterFact, FactList[Webhook], frozen=True):
    """The webhooks of every configuration that has one for Dynamo's types.

    `blocking` is true if requests fail when the webhook fails, `namespaces` are the names that its selector
    restricts it to. `others` are the webhooks of other configurations that are called for what graphs become.
    `looked` is the time of collection, in seconds since 1970.
    """

    others: tuple[Webhook, ...] = ()
    looked: float = 0


class PlatformType(msgspec.Struct, frozen=True, kw_only=True):
    """A CRD of Dynamo with several versions: its storage version, stored versions and conversion webhook."""

    name: str
    generation: int = 0
    migrated_generation: str = ""
    storage: str = ""
    stored: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    converter: Webhook | None = None


class PlatformTypes(ClusterFact, FactList[PlatformType], frozen=True):
    """Dynamo's CRDs with several versions. `looked` is the time of collection, in seconds since 1970."""

    looked: float = 0


class OperatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings in an operator's ConfigMap; None or empty if not set."""

    namespace: str
    name: str
    instance: str = ""
    restricted: str = ""
    grove: bool | None = None
    kai: bool | None = None
    lws: bool | None = None
    nats: str = ""
    etcd: str = ""
    discovery: str = ""


class OperatorConfigs(ClusterFact, FactList[OperatorConfig], frozen=True):
    """The configuration of every Dynamo operator that has it in a ConfigMap, as releases since 1.0 do."""

    def find(self, operator: Workload) -> OperatorConfig | None:
        """The configuration of an operator; None if it cannot be determined."""
        instance = operator.labels.get("app.kubernetes.io/instance", "")
        here = [c for c in self.items if c.namespace == operator.namespace]
        same = [c for c in here if c.instance == instance]
        return same[0] if len(same) == 1 else None


class KaiQueue(msgspec.Struct, frozen=True):
    """A queue of KAI Scheduler; `pool` is the node pool whose scheduler serves it, empty for the default.

    `parent` is the queue that it is part of, empty for a top-level queue, None if unknown.
    """

    name: str
    pool: str = ""
    parent: str | None = None


class KaiQueues(ClusterFact, FactList[KaiQueue], frozen=True):
    """Every queue of KAI Scheduler; empty if it is not installed."""


class OperatorLease(msgspec.Struct, frozen=True):
    """An operator's lease on a namespace; `until` is its expiry, in seconds since 1970."""

    namespace: str
    until: float


class OperatorLeases(ClusterFact, FactList[OperatorLease], frozen=True):
    """Every namespace with an operator's lease. `looked` is the time of collection, in seconds since 1970."""

    looked: float = 0


class ServiceEndpoints(ClusterFact, frozen=True):
    """The number of ready endpoints of each Service by `namespace/name`, except Services without
    EndpointSlices.

    `dns` are the Services that are labelled as the cluster's DNS, `external` those of type ExternalName:
    these have no endpoints.
    """

    ready: dict[str, int] = msgspec.field(default_factory=dict)
    dns: tuple[str, ...] = ()
    external: tuple[str, ...] = ()


def find_operators(workloads: Workloads) -> tuple[Workload, ...]:
    """The Dynamo operators, by the labels that every release of their chart sets."""
    return tuple(item for item in workloads if item.kind == "Deployment" and is_operator(item.labels))


def is_operator(labels: Mapping[str, str]) -> bool:
    """Whether these are the labels of a Dynamo operator."""
    if labels.get("control-plane") != "controller-manager":
        return False
    return "dynamo-operator" in (
        labels.get("app.kubernetes.io/name"),
        labels.get("app.kubernetes.io/created-by"),
    )
