"""The volumes that pods mount, as far as their placement depends on them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from dynocheck.data.volumes import find_csi_driver, find_reach
from dynocheck.facts import (
    CsiDrivers,
    Node,
    PersistentVolumeClaims,
    PersistentVolumes,
    RunningPod,
    StorageClass,
    StorageClasses,
    parse_quantity,
)
from dynocheck.scheduling.graphs import ComponentPods
from dynocheck.scheduling.pod_spec_model import HOSTNAME, Shape
from dynocheck.scheduling.selectors import matches, term_matches
from dynocheck.scheduling.volumes import Attachments, PodVolume, Volumes

_ZONE = "topology.kubernetes.io/zone"


class UnboundClaim(NamedTuple):
    """A claim without a volume, as `namespace/name`, its class, and the size that it requests."""

    key: str
    storage_class: str
    size: str = ""
    access_modes: tuple[str, ...] = ()


class VolumeInventory:
    """The volumes, claims and classes of a cluster. What is unknown keeps no pod from a node."""

    def __init__(
        self,
        drivers: CsiDrivers | None,
        volumes: PersistentVolumes | None,
        claims: PersistentVolumeClaims | None,
        classes: StorageClasses | None,
        declared: Iterable[UnboundClaim] = (),
    ) -> None:
        """:param declared: claims that are still to be created; those of the cluster come first."""
        self._csi = drivers
        self._classes = {each.name: each for each in classes or ()}
        bound = [volume for volume in volumes or () if volume.phase == "Bound"]
        self._terms = {volume.claim: volume.node_terms for volume in bound if volume.node_terms}
        # A free volume of the class may be taken, wherever it is, in place of a new one.
        self._free = {volume.storage_class for volume in volumes or () if volume.phase == "Available"}
        namespace = claims.namespace if claims is not None else ""
        existing = [
            UnboundClaim(f"{namespace}/{c.name}", c.storage_class or "", c.requested, c.access_modes)
            for c in claims or ()
        ]
        made = {f"{namespace}/{c.name}" for c in claims or () if c.volume}
        each_claim = {claim.key: claim for claim in (*declared, *existing)}
        self._claims = {
            key: PodVolume(
                key,
                self._find_driver(each.storage_class),
                () if key in made else self._find_keys(each.storage_class),
                each.access_modes == ("ReadWriteOncePod",),
            )
            for key, each in each_claim.items()
        }
        self._unbound = {key: each for key, each in each_claim.items() if key not in made}
        for volume in bound:
            known = self._claims.get(volume.claim, PodVolume(volume.claim))
            self._claims[volume.claim] = known._replace(driver=volume.driver)

    def attach(self, running: Iterable[RunningPod]) -> Attachments:
        """What these pods mount."""
        return Attachments(self._csi, running, {key: each.driver for key, each in self._claims.items()})

    def list_volumes(self, group: ComponentPods, namespace: str) -> Volumes:
        """What each pod of a component mounts."""
        with suppress(TypeError, AttributeError):  # what does not fit the schema is told elsewhere
            return tuple(self._list(group.spec, namespace))
        return ()

    def bar(
        self, group: ComponentPods, mounted: Volumes, nodes: Iterable[Node], attachments: Attachments
    ) -> Shape | None:
        """The shape of the pods, barred from nodes that cannot have the volumes of one of them."""
        if group.shape is None or not mounted:
            return group.shape
        reasons = ((n.name, self._find_unreached(n, mounted)) for n in nodes)
        barred = {n: why or attachments.find_full(n, mounted) for n, why in reasons}
        return msgspec.structs.replace(group.shape, barred={n: why for n, why in barred.items() if why})

    def _find_unreached(self, node: Node, mounted: Volumes) -> str | None:
        for claim in (volume.claim for volume in mounted):
            name, terms, unbound = claim.partition("/")[2], self._terms.get(claim), self._unbound.get(claim)
            if terms and not any(term_matches(term, node) for term in terms):
                return f"does not reach the volume of claim {name}"
            found = self._find_class(unbound.storage_class) if unbound is not None else None
            if found is not None and found.zones and node.labels.get(_ZONE) not in found.zones:
                return f"is in no zone that the class of claim {name} allows"
            if found is not None and unbound is not None and not self._has_room(node, found, unbound.size):
                return f"has no {unbound.size} of class {found.name} left for claim {name}"
        return None

    def _has_room(self, node: Node, storage_class: StorageClass, size: str) -> bool:
        """Whether a volume of this size can be made for a pod of this node, as the scheduler asks the
        CSIStorageCapacity objects of the class; true where it does not ask.
        """
        wanted, driver = parse_quantity(size), storage_class.provisioner
        waits = storage_class.binding_mode == "WaitForFirstConsumer"
        capacities = self._csi.capacities if self._csi is not None and driver in self._csi.measured else None
        if wanted is None or not waits or capacities is None or storage_class.name in self._free:
            return True
        return any(
            each.storage_class == storage_class.name
            and (parse_quantity(each.size) or 0) >= wanted
            and matches(each.nodes, node.labels)
            for each in capacities
        )

    def _find_class(self, name: str | None) -> StorageClass | None:
        return self._classes.get(name or "")

    def _find_driver(self, name: str | None) -> str:
        found = self._find_class(name)
        return (find_csi_driver(found.provisioner) or "") if found else ""

    def _find_keys(self, name: str | None) -> tuple[str, ...]:
        """The node labels that a volume of a class takes from the node of its first pod."""
        found = self._find_class(name)
        if found is None or found.binding_mode != "WaitForFirstConsumer":
            return ()
        drivers = self._csi or CsiDrivers()
        match find_reach(found, drivers):
            case "node":
                return (HOSTNAME,)
            case "zone":
                return tuple(sorted(drivers.find_topology_keys(self._find_driver(name)))) or (_ZONE,)
        return ()

    def _list(self, spec: Any, namespace: str) -> Iterator[PodVolume]:
        for volume in spec.get("volumes") or ():
            if name := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
                yield self._claims.get(f"{namespace}/{name}", PodVolume(f"{namespace}/{name}"))
            elif ephemeral := volume.get("ephemeral"):
                wanted = (ephemeral.get("volumeClaimTemplate") or {}).get("spec") or {}
                yield PodVolume("", self._find_driver(wanted.get("storageClassName")))
