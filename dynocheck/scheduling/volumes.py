"""The volumes of pods: how many a node can have, and which nodes reach those that are still to be made."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from dynocheck.facts import CsiDrivers, RunningPod


class PodVolume(NamedTuple):
    """A volume that a pod mounts.

    `claim` is its claim as `namespace/name`, empty for one that is made for each pod; `driver` is the CSI
    driver, empty if unknown. A volume that is still to be made follows its first pod: `keys` are the node
    labels in which the nodes of all others equal that one's. With `single`, one pod at a time mounts it.
    """

    claim: str
    driver: str = ""
    keys: tuple[str, ...] = ()
    single: bool = False


Volumes = tuple[PodVolume, ...]


class PlacedVolumes(NamedTuple):
    """The volumes of placed pods by the index of their node, and the first node of each claim."""

    by_node: dict[int, Volumes]
    first: dict[str, int]

    def add(self, node: int, volumes: Volumes) -> None:
        """Add those of another pod."""
        self.by_node[node] = self.by_node.get(node, ()) + volumes
        for volume in volumes:
            self.first.setdefault(volume.claim, node)


class Attachments:
    """What running pods mount, and how many volumes the nodes can have."""

    def __init__(
        self, drivers: CsiDrivers | None, running: Iterable[RunningPod], claims: Mapping[str, str]
    ) -> None:
        """:param claims: the CSI driver of each claim, as `namespace/name`."""
        nodes = drivers.nodes if drivers else ()
        self._limits = {(n.name, d.name): d.limit for n in nodes for d in n.drivers if d.limit is not None}
        self._attached: dict[tuple[str, str], set[str]] = defaultdict(set)
        self.mounted: set[str] = set()
        for pod in running:
            for key in (f"{pod.namespace}/{claim}" for claim in pod.claims):
                self._attached[pod.node, claims.get(key, "")].add(key)
                self.mounted.add(key)

    def find_full(self, node: str, wanted: Volumes, placed: Volumes = ()) -> str | None:
        """Why a node cannot have the volumes of another pod, beside those of placed ones; None if it can."""
        for driver in {volume.driver for volume in wanted}:
            limit = self._limits.get((node, driver))
            if limit is None:
                continue
            there = self._attached.get((node, driver), set()) | {v.claim for v in _find(placed, driver)}
            own = sum(not v.claim for v in _find(placed, driver))
            new = [v for v in _find(wanted, driver) if not v.claim or v.claim not in there]
            present = len(there - {""}) + own
            if new and present + len(new) > limit:
                return f"has {present} of at most {limit} volumes of {driver}"
        return None


def _find(volumes: Volumes, driver: str) -> Iterator[PodVolume]:
    return (volume for volume in volumes if volume.driver == driver)
