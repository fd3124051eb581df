"""Facts about volumes: the drivers that make them, and the claims of the run's namespace."""

from typing import Any

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class NodeDriver(msgspec.Struct, frozen=True):
    """A CSI driver that a node's kubelet knows, with the labels that say where its volumes can be reached."""

    name: str
    topology_keys: tuple[str, ...] = ()


class CsiNode(msgspec.Struct, frozen=True):
    """What a node's kubelet says of its CSI drivers; the name is the node's."""

    name: str
    drivers: tuple[NodeDriver, ...] = ()

    def has(self, driver: str) -> bool:
        """Whether pods on this node can mount volumes of this driver."""
        return any(found.name == driver for found in self.drivers)


class CsiDrivers(ClusterFact, frozen=True):
    """The names of all CSIDriver objects, and every CSINode."""

    names: tuple[str, ...] = ()
    nodes: tuple[CsiNode, ...] = ()

    def is_registered(self, driver: str) -> bool:
        """Whether the cluster knows the driver: by its object, which is optional, or on a node."""
        return driver in self.names or any(node.has(driver) for node in self.nodes)

    def find_topology_keys(self, driver: str) -> set[str]:
        """The labels by which the driver says where its volumes can be reached."""
        return {key for n in self.nodes for d in n.drivers if d.name == driver for key in d.topology_keys}


class ClaimEvent(msgspec.Struct, frozen=True):
    """What happened to a claim; `kind` is Normal or Warning, `last` when it last did (RFC 3339)."""

    kind: str
    reason: str
    message: str
    last: str = ""


class PersistentVolumeClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as the cluster has it; `events` are its own, the oldest first.

    `storage_class` is None when it names none, and "" when it asks for no class; `class_applied` says that
    `kubectl apply` wrote it, and would take it away again. `requested` is the size asked for, `capacity`
    the one given. `selected_node` says that a pod which uses it has been given a node.
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
    """Every claim of the run's namespace."""

    namespace: str = "default"

    def find(self, name: str) -> PersistentVolumeClaim | None:
        """The claim of this name."""
        return next((claim for claim in self.items if claim.name == name), None)


class PersistentVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume: the class it says it is of, which need not exist, and its claim by `namespace/name`.

    `node_terms` say which nodes reach it, as terms of a node selector; without any all do.
    """

    name: str
    storage_class: str = ""
    access_modes: tuple[str, ...] = ()
    capacity: str = ""
    phase: str = ""
    claim: str = ""
    node_terms: tuple[dict[str, Any], ...] = ()


class PersistentVolumes(ClusterFact, FactList[PersistentVolume], frozen=True):
    """Every volume of the cluster."""
