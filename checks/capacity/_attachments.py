"""Which nodes cannot have the volumes of a pod: they do not reach them, or have as many as they may."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from dynocheck.facts import (
    CsiDrivers,
    Node,
    PersistentVolumeClaims,
    PersistentVolumes,
    RunningPod,
    StorageClasses,
)
from dynocheck.scheduling.graphs import ComponentPods
from dynocheck.scheduling.pod_spec_model import Shape
from dynocheck.scheduling.selectors import term_matches


class Attachments:
    """The limits of CSI drivers by node, and the driver and nodes of claims. What is unknown bars no node."""

    def __init__(
        self,
        drivers: CsiDrivers | None,
        volumes: PersistentVolumes | None,
        claims: PersistentVolumeClaims | None,
        classes: StorageClasses | None,
    ) -> None:
        nodes = drivers.nodes if drivers else ()
        self._limits = {(n.name, d.name): d.limit for n in nodes for d in n.drivers if d.limit is not None}
        self._provisioners = {each.name: each.provisioner for each in classes or ()}
        self._drivers = {}
        if claims is not None:
            for each in claims:
                driver = self._provisioners.get(each.storage_class or "", "")
                self._drivers[f"{claims.namespace}/{each.name}"] = driver
        bound = [volume for volume in volumes or () if volume.phase == "Bound"]
        self._drivers |= {volume.claim: volume.driver for volume in bound}
        self._terms = {volume.claim: volume.node_terms for volume in bound if volume.node_terms}

    def bar(
        self, group: ComponentPods, namespace: str, nodes: Iterable[Node], running: Iterable[RunningPod]
    ) -> Shape | None:
        """The shape of the pods, barred from nodes that cannot have the volumes of one of them.

        Those of several components on one node are not added up.
        """
        volumes: dict[str, str] = {}
        with suppress(TypeError, AttributeError):  # what does not fit the schema is told elsewhere
            volumes = dict(self._list_volumes(group.spec, namespace))
        if group.shape is None or not volumes:
            return group.shape
        barred = {**self._find_full(volumes, running), **self._find_unreached(volumes, nodes)}
        return msgspec.structs.replace(group.shape, barred=barred)

    def _find_unreached(self, volumes: Mapping[str, str], nodes: Iterable[Node]) -> dict[str, str]:
        local = {key: self._terms[key] for key in volumes if key in self._terms}
        return {
            node.name: f"does not reach the volume of claim {key.partition('/')[2]}"
            for node in nodes
            for key, terms in local.items()
            if not any(term_matches(term, node) for term in terms)
        }

    def _find_full(self, volumes: Mapping[str, str], running: Iterable[RunningPod]) -> dict[str, str]:
        attached: dict[tuple[str, str], set[str]] = defaultdict(set)
        for pod in running:
            for key in (f"{pod.namespace}/{claim}" for claim in pod.claims):
                attached[pod.node, self._drivers.get(key, "")].add(key)
        barred = {}
        for (node, driver), limit in self._limits.items():
            there = attached[node, driver]
            new = {key for key, needed in volumes.items() if needed == driver} - there
            if new and len(there) + len(new) > limit:
                barred[node] = f"has {len(there)} of at most {limit} volumes of {driver}"
        return barred

    def _list_volumes(self, spec: Any, namespace: str) -> Iterator[tuple[str, str]]:
        """Each claim of a pod, one that is made for it by the name of its volume, and its driver."""
        for volume in spec.get("volumes") or ():
            if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
                yield f"{namespace}/{claim}", self._drivers.get(f"{namespace}/{claim}", "")
            elif ephemeral := volume.get("ephemeral"):
                wanted = (ephemeral.get("volumeClaimTemplate") or {}).get("spec") or {}
                yield (
                    f"{volume.get('name')}",
                    self._provisioners.get(wanted.get("storageClassName") or "", ""),
                )
