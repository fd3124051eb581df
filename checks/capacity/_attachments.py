"""Which nodes cannot attach the volumes of a pod, because of the limits of CSI drivers."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from dynocheck.facts import (
    CsiDrivers,
    PersistentVolumeClaims,
    PersistentVolumes,
    RunningPod,
    StorageClasses,
)
from dynocheck.scheduling.graphs import ComponentPods
from dynocheck.scheduling.pod_spec_model import Shape


class Attachments:
    """The limits of CSI drivers by node, and the driver of each claim. What is unknown bars no node."""

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
        self._drivers |= {volume.claim: volume.driver for volume in volumes or () if volume.claim}

    def bar(self, group: ComponentPods, namespace: str, running: Iterable[RunningPod]) -> Shape | None:
        """The shape of the pods, barred from nodes that cannot attach the volumes of one of them.

        Those of several components on one node are not added up.
        """
        wanted: dict[str, str] = {}
        with suppress(TypeError, AttributeError):  # what does not fit the schema is told elsewhere
            wanted = {key: driver for key, driver in self._list_volumes(group.spec, namespace) if driver}
        if group.shape is None or not wanted or not self._limits:
            return group.shape
        attached: dict[tuple[str, str], set[str]] = defaultdict(set)
        for pod in running:
            for key in (f"{pod.namespace}/{claim}" for claim in pod.claims):
                attached[pod.node, self._drivers.get(key, "")].add(key)
        barred = {}
        for (node, driver), limit in self._limits.items():
            there = attached[node, driver]
            new = {key for key, needed in wanted.items() if needed == driver} - there
            if new and len(there) + len(new) > limit:
                barred[node] = f"has {len(there)} of at most {limit} volumes of {driver}"
        return msgspec.structs.replace(group.shape, barred=barred)

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
