"""Facts about the Dynamo platform: its operators, their webhooks, and the types they own."""

from typing import NamedTuple

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact
from dynocheck.facts.k8s.workloads import Workload, Workloads


class ServiceName(NamedTuple):
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Certificates(msgspec.Struct, frozen=True):
    """The certificate authorities of a CA bundle: how many certificates it has, and when its authorities end.

    `expiries` are seconds since 1970, of those that are authorities. `problem` says why it cannot be read.
    """

    count: int = 0
    expiries: tuple[int, ...] = ()
    problem: str = ""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the API server calls: `service` is None where it is a URL."""

    kind: str
    configuration: str
    name: str
    service: ServiceName | None = None
    bundle: Certificates | None = None
    blocking: bool = True
    namespaces: tuple[str, ...] = ()


class AdmissionWebhooks(ClusterFact, FactList[Webhook], frozen=True):
    """The webhooks of every configuration that has one for Dynamo's types.

    `blocking` is whether requests fail with them, `namespaces` those it is restricted to by their names.
    `looked` is when this was seen, in seconds since 1970.
    """

    looked: float = 0


class PlatformType(msgspec.Struct, frozen=True, kw_only=True):
    """A type of Dynamo's that has had several versions: how it is stored, and who converts between them."""

    name: str
    generation: int = 0
    migrated_generation: str = ""
    storage: str = ""
    stored: tuple[str, ...] = ()
    served: tuple[str, ...] = ()
    converter: Webhook | None = None


class PlatformTypes(ClusterFact, FactList[PlatformType], frozen=True):
    """Those of them that are defined. `looked` is when this was seen, in seconds since 1970."""

    looked: float = 0


class OperatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator's ConfigMap tells it. None where it does not say."""

    namespace: str
    name: str
    instance: str = ""
    restricted: str = ""
    grove: bool | None = None
    lws: bool | None = None
    nats: str = ""
    etcd: str = ""
    discovery: str = ""


class OperatorConfigs(ClusterFact, FactList[OperatorConfig], frozen=True):
    """The configuration of every Dynamo operator that keeps it in a ConfigMap, as those since 1.0 do."""

    def find(self, operator: Workload) -> OperatorConfig | None:
        """The configuration of this operator."""
        instance = operator.labels.get("app.kubernetes.io/instance", "")
        here = [c for c in self.items if c.namespace == operator.namespace]
        same = [c for c in here if c.instance == instance]
        return same[0] if len(same) == 1 else None


class OperatorLease(msgspec.Struct, frozen=True):
    """The claim of an operator to a namespace; `until` is when it ends, in seconds since 1970."""

    namespace: str
    until: float


class OperatorLeases(ClusterFact, FactList[OperatorLease], frozen=True):
    """Every namespace that an operator has claimed. `looked` is when this was seen."""

    looked: float = 0


class ServiceEndpoints(ClusterFact, frozen=True):
    """How many ready endpoints each Service has, by `namespace/name`. One without slices is not there.

    `dns` are those that are labelled as the cluster's DNS.
    """

    ready: dict[str, int] = msgspec.field(default_factory=dict)
    dns: tuple[str, ...] = ()


def find_operators(workloads: Workloads) -> tuple[Workload, ...]:
    """The Dynamo operators, by the labels that every release of their chart sets."""
    return tuple(each for each in workloads if each.kind == "Deployment" and _is_operator(each.labels))


def _is_operator(labels: dict[str, str]) -> bool:
    if labels.get("control-plane") != "controller-manager":
        return False
    return "dynamo-operator" in (
        labels.get("app.kubernetes.io/name"),
        labels.get("app.kubernetes.io/created-by"),
    )
