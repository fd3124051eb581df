"""Facts about the namespace of the run: its state, network policies, Secrets, and classes for its pods."""

from typing import Any

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact
from dynocheck.facts.k8s.label_selectors import Selector


class Namespace(ClusterFact, frozen=True):
    """The namespace of the run; it accepts no new objects while `deleting`.

    `id_ranges` are the users and groups that OpenShift gave it, by the ends of their annotations, such as
    `uid-range` and `supplemental-groups`.
    """

    name: str
    exists: bool = True
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    deleting: bool = False
    id_ranges: dict[str, str] = msgspec.field(default_factory=dict)


class RuntimeRule(msgspec.Struct, frozen=True):
    """What a RuntimeClass adds to its pods: requests, and constraints on nodes."""

    overhead: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    tolerations: tuple[dict[str, Any], ...] = ()


class PodClasses(ClusterFact, frozen=True):
    """The names of all PriorityClasses and RuntimeClasses; `rules` tells by name what RuntimeClasses add,
    of which recordings of earlier releases say nothing.
    """

    priorities: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    rules: dict[str, RuntimeRule] = msgspec.field(default_factory=dict)

    def adds_unknown(self, runtime: str) -> bool:
        """Whether this RuntimeClass exists, and what it adds was not recorded."""
        return runtime in self.runtimes and runtime not in self.rules


class IpBlock(msgspec.Struct, frozen=True):
    """A block of addresses in a NetworkPolicy."""

    cidr: str


class NetworkPolicyPeer(msgspec.Struct, frozen=True, rename="camel"):
    """A peer of a NetworkPolicy: pods, of this namespace unless it selects others, or addresses."""

    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: IpBlock | None = None


class NetworkPolicyPort(msgspec.Struct, frozen=True, rename="camel"):
    """Ports in a rule of a NetworkPolicy: a number, a range, a name, or all of a protocol."""

    port: int | str | None = None
    end_port: int | None = None
    protocol: str = "TCP"


class NetworkPolicyRule(msgspec.Struct, frozen=True):
    """A rule of a NetworkPolicy: it allows the given peers and ports; an empty list allows all."""

    peers: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A NetworkPolicy: the pods that it isolates, and its rules; None for a direction that it does not
    isolate.
    """

    name: str
    selector: Selector = Selector()
    ingress: tuple[NetworkPolicyRule, ...] | None = None
    egress: tuple[NetworkPolicyRule, ...] | None = None


class NetworkPolicies(ClusterFact, FactList[NetworkPolicy], frozen=True):
    """The NetworkPolicies of the namespace of the run."""


class NamedSecret(msgspec.Struct, frozen=True):
    """A Secret that a recipe references: whether it exists, its type and keys, never its contents."""

    namespace: str
    name: str
    exists: bool = True
    type: str = ""
    keys: tuple[str, ...] = ()


class NamedSecrets(ClusterFact, FactList[NamedSecret], frozen=True):
    """Every Secret that a recipe references and does not create."""

    def find(self, namespace: str, name: str) -> NamedSecret | None:
        return next((s for s in self.items if (s.namespace, s.name) == (namespace, name)), None)
