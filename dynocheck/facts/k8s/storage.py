"""Facts about storage: CSI drivers, volumes, and the claims in the namespace of the run."""

from typing import Any

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class NodeDriver(msgspec.Struct, frozen=True):
    """A CSI driver that is registered on a node, and the node labels that its volumes' topology uses.

    `limit` is how many of its volumes the node can have, None for any number.
    """

    name: str
    topology_keys: tuple[str, ...] = ()
    limit: int | None = None


class CsiNode(msgspec.Struct, frozen=True):
    """The CSI drivers that are registered on a node; `name` is the node's."""

    name: str
    drivers: tuple[NodeDriver, ...] = ()

    def has(self, driver: str) -> bool:
        """Whether pods on this node can mount volumes of this driver."""
        return any(item.name == driver for item in self.drivers)


class StorageCapacity(msgspec.Struct, frozen=True):
    """The largest volume of a class that a driver can make for the nodes that a label selector matches.

    `size` is a quantity, empty if the driver does not say; `nodes` is None for no node.
    """

    storage_class: str
    size: str = ""
    nodes: dict[str, Any] | None = None


class CsiDrivers(ClusterFact, frozen=True):
    """The names of all CSIDriver objects, and every CSINode.

    Volumes of those in `unattached` are mounted without being attached to a node. The scheduler asks
    `capacities`, every CSIStorageCapacity, where those in `measured` have room left; None if unknown.
    """

    names: tuple[str, ...] = ()
    nodes: tuple[CsiNode, ...] = ()
    unattached: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    capacities: tuple[StorageCapacity, ...] | None = None

    def is_registered(self, driver: str) -> bool:
        """Whether the driver has a CSIDriver object, which is optional, or is registered on a node."""
        return driver in self.names or any(node.has(driver) for node in self.nodes)

    def find_topology_keys(self, driver: str) -> set[str]:
        """The node labels that the topology of the driver's volumes uses."""
        return {key for n in self.nodes for d in n.drivers if d.name == driver for key in d.topology_keys}


class ClaimEvent(msgspec.Struct, frozen=True):
    """An event of a claim; `kind` is Normal or Warning, `last` its latest time (RFC 3339)."""

    kind: str
    reason: str
    message: str
    last: str = ""


class PersistentVolumeClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim in the cluster; `events` are in order of time.

    `storage_class` is None if it names none, and "" if it requests no class; `class_applied` is true if
    `kubectl apply` set it and would also remove it. `requested` and `capacity` are the requested and the
    actual size. `selected_node` is the node of the first pod that uses it.
    """

    name: str
    phase: str = ""
    storage_class: str | None = None
    access_modes: tuple[str, ...] = ()
    class_applied: bool = False
    requested: str = ""
    capacity: str = ""
    volume: str = ""
    selected_node: str = ""
    deleting: bool = False
    events: tuple[ClaimEvent, ...] = ()


class PersistentVolumeClaims(ClusterFact, FactList[PersistentVolumeClaim], frozen=True):
    """Every claim in the namespace of the run."""

    namespace: str = "default"

    def find(self, name: str) -> PersistentVolumeClaim | None:
        """The claim with this name."""
        return next((claim for claim in self.items if claim.name == name), None)


class PersistentVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume: its class, which need not exist, its claim as `namespace/name`, and its CSI driver if any.

    `node_terms` are the node selector terms of the nodes that can mount it; empty if all can.
    """

    name: str
    storage_class: str = ""
    access_modes: tuple[str, ...] = ()
    capacity: str = ""
    phase: str = ""
    claim: str = ""
    driver: str = ""
    node_terms: tuple[dict[str, Any], ...] = ()


class PersistentVolumes(ClusterFact, FactList[PersistentVolume], frozen=True):
    """Every volume of the cluster."""


class PlatformClaim(msgspec.Struct, frozen=True):
    """A claim of an etcd or NATS: its phase, and the StorageClass that it names, None for none."""

    namespace: str
    name: str
    phase: str = ""
    storage_class: str | None = None


class PlatformPod(msgspec.Struct, frozen=True):
    """A pod of an etcd or NATS that does not run, and why: it is not scheduled, or a container waits."""

    namespace: str
    name: str
    reason: str


class PlatformClaims(ClusterFact, FactList[PlatformClaim], frozen=True):
    """The claims of etcd and NATS that are not ready; `unread` is the reason why they could not be read.

    `pods` are those of which the scheduler or the kubelet says why they do not run.
    """

    unread: str = ""
    pods: tuple[PlatformPod, ...] = ()
