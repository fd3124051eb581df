"""Facts about the namespace of the run: what it refuses, what it limits, and what lies in it."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact
from dynocheck.facts.k8s.label_selectors import Selector


class Namespace(ClusterFact, frozen=True):
    """The namespace that the run is for; `exists` is false where nobody made it yet, `deleting` true where it
    goes and takes nothing new.
    """

    name: str
    exists: bool = True
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    deleting: bool = False


class PodClasses(ClusterFact, frozen=True):
    """The names of all PriorityClasses and RuntimeClasses."""

    priorities: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()


class IpBlock(msgspec.Struct, frozen=True):
    cidr: str


class NetworkPolicyPeer(msgspec.Struct, frozen=True, rename="camel"):
    """The other end of a flow: pods, of this namespace unless it selects others, or a block of addresses."""

    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: IpBlock | None = None


class NetworkPolicyPort(msgspec.Struct, frozen=True, rename="camel"):
    """Ports that a rule allows: a number, a name, or all of a protocol."""

    port: int | str | None = None
    end_port: int | None = None
    protocol: str = "TCP"


class NetworkPolicyRule(msgspec.Struct, frozen=True):
    """What a policy allows: these peers, or anybody where there are none, at these ports, or at any."""

    peers: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which pods it isolates, in which directions, and what it lets through; None is a direction it leaves
    alone.
    """

    name: str
    selector: Selector = Selector()
    ingress: tuple[NetworkPolicyRule, ...] | None = None
    egress: tuple[NetworkPolicyRule, ...] | None = None


class NetworkPolicies(ClusterFact, FactList[NetworkPolicy], frozen=True):
    """The network policies of the namespace."""


class NamedSecret(msgspec.Struct, frozen=True):
    """A Secret that a recipe names: whether it is there, its type and its keys, never its contents."""

    namespace: str
    name: str
    exists: bool = True
    type: str = ""
    keys: tuple[str, ...] = ()


class NamedSecrets(ClusterFact, FactList[NamedSecret], frozen=True):
    """Every Secret that a recipe names and does not bring."""

    def find(self, namespace: str, name: str) -> NamedSecret | None:
        return next((s for s in self.items if (s.namespace, s.name) == (namespace, name)), None)
