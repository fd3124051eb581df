"""Places pods one after another by kube-scheduler's filters and scores.

A score decides among the nodes that fit, and chance among equal scores, so that the same pods may fit or not.
They are therefore placed several times, in several orders and with several random seeds.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import log

import msgspec

from dynocheck.scheduling.device_allocation import Allocation, DeviceAllocator, Devices
from dynocheck.scheduling.device_claims import DeviceClaim
from dynocheck.scheduling.node_state import (
    ClusterState,
    NodeState,
    explain_refusal,
    find_port_conflict,
    rate_preferences,
    score,
)
from dynocheck.scheduling.pod_spec_model import HOSTNAME, Shape, ports_conflict
from dynocheck.scheduling.quantities import PODS, Amounts
from dynocheck.scheduling.relations import DomainCounts, Relations
from dynocheck.scheduling.volumes import Attachments, PlacedVolumes, Volumes

_MAX_WORK = 150_000  # nodes scored in all runs together, which takes well under a second
_MAX_RUNS = 36
_PLENTY = ("cpu", "memory", "ephemeral-storage")


class Batch(msgspec.Struct, frozen=True):
    """A number of pods of one shape, what each of them claims, and what each mounts."""

    shape: Shape
    pods: int
    claims: tuple[DeviceClaim, ...] = ()
    volumes: Volumes = ()


class ClaimedDevices(msgspec.Struct, frozen=True):
    """The devices that claims of placed pods hold by node, and the nodes of their shared claims by name."""

    taken: dict[int, Devices] = {}
    shared: dict[str, int] = {}


class SchedulingResult(msgspec.Struct, frozen=True):
    """The nodes that the pods of each batch got in one run, how many got none (`lacking`), what the others
    use, and what they mount.
    """

    nodes: tuple[tuple[int, ...], ...]
    lacking: tuple[int, ...]
    counted: Sequence[DomainCounts]
    used: Mapping[int, Mapping[str, int]]
    claimed: ClaimedDevices = ClaimedDevices()
    mounted: PlacedVolumes = PlacedVolumes({}, {})

    @property
    def is_complete(self) -> bool:
        return not any(self.lacking)


class Scheduler:
    """Places batches of pods on a cluster. Nodes and batches are known by their index."""

    def __init__(
        self,
        cluster: ClusterState,
        batches: Sequence[Batch],
        allocator: DeviceAllocator | None = None,
        attachments: Attachments | None = None,
    ) -> None:
        self.cluster = cluster
        self._allocator = allocator
        self._attachments = attachments
        self.batches = batches
        self.shapes = [batch.shape for batch in batches]
        self.relations = Relations(cluster, self.shapes)
        self.allowed: list[list[int]] = []
        self.prefers: list[dict[int, tuple[int, int]]] = []
        self._open: list[dict[int, int]] = []
        for shape in self.shapes:
            allowed = [i for i, state in enumerate(cluster.nodes) if not explain_refusal(shape, state.node)]
            liking = {i: rate_preferences(shape, cluster.nodes[i].node) for i in allowed}
            self.allowed.append(allowed)
            self.prefers.append(liking if any(any(pair) for pair in liking.values()) else {})
            states = {i: cluster.nodes[i] for i in allowed}
            self._open.append(
                {
                    i: score(state.allocatable, state.held, state.assumed, shape)
                    for i, state in states.items()
                    if _has_room(shape.requests, state) and not find_port_conflict(shape, state)
                }
            )

    def simulate(self) -> Iterator[SchedulingResult]:
        """Place the pods as kube-scheduler might, in the given order and in others."""
        kinds = [kind for kind, batch in enumerate(self.batches) for _ in range(batch.pods)]
        orders = [kinds, _interleave(kinds), kinds[::-1]]
        work = max(1, len(kinds) * max((len(each) for each in self._open), default=1))
        for number in range(max(len(orders), min(_MAX_RUNS, _MAX_WORK // work))):
            yield self.run_once(orders[number % len(orders)], random.Random(number))  # noqa: S311

    def pack(self) -> SchedulingResult:
        """Place the pods as tightly as possible: the largest first, each where the least is left."""
        scarce = sorted({r for shape in self.shapes for r in shape.requests if r not in _PLENTY})

        def size(kind: int) -> tuple[int, ...]:
            requests = self.shapes[kind].requests
            return (*(requests.get(r, 0) for r in scarce), requests.get("cpu", 0), requests.get("memory", 0))

        kinds = [kind for kind, batch in enumerate(self.batches) for _ in range(batch.pods)]
        kinds.sort(key=size, reverse=True)
        return self.run_once(kinds, random.Random(0), tightly=scarce)  # noqa: S311

    def run_once(
        self, kinds: Sequence[int], chance: random.Random, *, tightly: Sequence[str] | None = None
    ) -> SchedulingResult:
        """Place one pod after another; those without a node are tried again after others got theirs."""
        run = _SchedulingRun(self, chance, tightly)
        waiting = list(kinds)
        while waiting:
            left = [kind for kind in waiting if not run.state(kind)]
            if len(left) == len(waiting):
                break
            waiting = left if any(self.relations.matter[kind] for kind in left) else []
        nodes = tuple(tuple(each) for each in run.nodes)
        lacking = tuple(batch.pods - len(n) for batch, n in zip(self.batches, nodes, strict=True))
        return SchedulingResult(nodes, lacking, run.counted, run.used, run.claimed, run.mounted)

    def allocate(self, kind: int, node: int, claimed: ClaimedDevices) -> Allocation | None:
        """The devices of a node for a pod of this batch; None if they lack or a shared claim is elsewhere."""
        claims = self.batches[kind].claims
        if not claims or self._allocator is None:
            return Allocation()
        if any(claimed.shared.get(claim.shared, node) != node for claim in claims):
            return None
        new = tuple(claim for claim in claims if claim.shared not in claimed.shared)
        return self._allocator.allocate(
            self.cluster.nodes[node].node, new, claimed.taken.get(node, frozenset())
        )

    def explain_volumes(self, kind: int, node: int, mounted: PlacedVolumes) -> str | None:
        """Why a node cannot have the volumes of a pod of this batch; None if it can."""
        wanted = self.batches[kind].volumes
        if not wanted or self._attachments is None:
            return None
        for volume in wanted:
            name, others = volume.claim.partition("/")[2], mounted.first.get(volume.claim)
            if volume.single and (others is not None or volume.claim in self._attachments.mounted):
                return f"claim {name} (ReadWriteOncePod, and another pod mounts it)"
            if volume.claim and others is not None and not self._are_alike(node, others, volume.keys):
                return f"the volume of claim {name} (made where another pod is)"
        full = self._attachments.find_full(
            self.cluster.nodes[node].node.name, wanted, mounted.by_node.get(node, ())
        )
        return f"the limit of volumes ({full})" if full else None

    def _are_alike(self, node: int, other: int, keys: Iterable[str]) -> bool:
        """Whether two nodes have the same values of these labels."""
        labels = self.relations.labels
        return all(labels[node].get(key) == labels[other].get(key) for key in keys)

    def copy_scores(self) -> list[dict[int, int]]:
        """For each batch, the scores of the nodes that have room for one of its pods."""
        return [dict(each) for each in self._open]


class _SchedulingRun:
    """The state of one run: the nodes that are still open, and what was placed on them."""

    def __init__(self, scheduler: Scheduler, chance: random.Random, tightly: Sequence[str] | None) -> None:
        self.scheduler = scheduler
        self.chance = chance
        self.tightly = tightly
        self.open = scheduler.copy_scores()
        self.counted = [each.copy() for each in scheduler.relations.start]
        self.nodes: list[list[int]] = [[] for _ in scheduler.batches]
        self.used: dict[int, dict[str, int]] = {}
        self.claimed = ClaimedDevices({}, {})
        self.mounted = PlacedVolumes({}, {})
        self._assumed: dict[int, tuple[int, int]] = {}

    def state(self, kind: int) -> bool:
        node = self._choose(kind)
        if node is None:
            return False
        self.nodes[kind].append(node)
        self._take(kind, node)
        self.scheduler.relations.state(self.counted, kind, node)
        return True

    def _choose(self, kind: int) -> int | None:
        scheduler, scores = self.scheduler, self.open[kind]
        if scheduler.relations.matter[kind]:
            refused = scheduler.relations.explain_refusal
            counted = self.counted[kind]
            scores = {i: s for i, s in scores.items() if not refused(counted, kind, i)}
        if scheduler.batches[kind].volumes:
            scores = {i: s for i, s in scores.items() if not scheduler.explain_volumes(kind, i, self.mounted)}
        allocations = {i: found for i in scores if (found := scheduler.allocate(kind, i, self.claimed))}
        scores = {i: scores[i] for i in allocations}
        if not scores or any(each.contradicts for each in allocations.values()):
            return None
        if self.tightly is not None:
            return min(
                scores, key=lambda i: (*(self._get_free(i, r) for r in self.tightly or ()), scores[i], i)
            )
        is_soft = any(spread.soft for spread in scheduler.shapes[kind].spread)
        if scheduler.prefers[kind] or self.counted[kind].liking or is_soft:
            scores = self._weigh(kind, scores)
        if most := max(each.score for each in allocations.values()):
            scores = {i: s + 2 * (100 * allocations[i].score // most) for i, s in scores.items()}
        best = max(scores.values())
        return self.chance.choice([i for i, value in scores.items() if value == best])

    def _weigh(self, kind: int, scores: Mapping[int, int]) -> dict[int, int]:
        """The scores with the weighted parts that compare nodes: taints, affinity and spread."""
        total = dict(scores)
        prefers = self.scheduler.prefers[kind]
        if prefers:
            worst = max(prefers[i][0] for i in scores)
            most = max(prefers[i][1] for i in scores)
            for i in scores:
                bad, good = prefers[i]
                total[i] += 3 * (100 - 100 * bad // worst if worst else 100)
                total[i] += 2 * (100 * good // most if most else 0)
        liking, labels = self.counted[kind].liking, self.scheduler.relations.labels
        if liking:
            keys = {key for key, _ in liking}
            liked = {i: sum(liking[k, labels[i][k]] for k in keys if k in labels[i]) for i in scores}
            low, high = min(liked.values()), max(liked.values())
            for i in scores:
                total[i] += 2 * (int(100 * ((liked[i] - low) / (high - low))) if high > low else 0)
        for i, value in self._score_evenness(kind, list(scores)).items():
            total[i] += 2 * value
        return total

    def _score_evenness(self, kind: int, nodes: Sequence[int]) -> dict[int, int]:
        """The score, 0 to 100, of each node by the pod's soft topology spread constraints."""
        soft = [(n, s) for n, s in enumerate(self.scheduler.shapes[kind].spread) if s.soft]
        labels = self.scheduler.relations.labels
        scored = [i for i in nodes if all(s.key in labels[i] for _, s in soft)]
        if not soft or not scored:
            return {}
        crowd = dict.fromkeys(scored, 0.0)
        for number, spread in soft:
            values = {labels[i][spread.key] for i in scored}
            weight = log((len(scored) if spread.key == HOSTNAME else len(values)) + 2)
            counts = self.counted[kind].spread[number]
            for i in scored:
                crowd[i] += counts[spread.key, labels[i][spread.key]] * weight + spread.skew - 1
        rounded = {i: int(value + 0.5) for i, value in crowd.items()}
        low, high = min(rounded.values()), max(rounded.values())
        return {i: 100 * (high + low - v) // high if high else 100 for i, v in rounded.items()}

    def _get_free(self, node: int, resource: str) -> int:
        return self.scheduler.cluster.nodes[node].get_free(resource) - self.used.get(node, {}).get(
            resource, 0
        )

    def _take(self, kind: int, node: int) -> None:
        shape = self.scheduler.shapes[kind]
        self._take_devices(kind, node)
        if volumes := self.scheduler.batches[kind].volumes:
            self.mounted.add(node, volumes)
        used = self.used.setdefault(node, {PODS: 0})
        used[PODS] += 1
        for resource, value in shape.requests.items():
            used[resource] = used.get(resource, 0) + value
        state = self.scheduler.cluster.nodes[node]
        before = self._assumed.get(node, state.assumed)
        self._assumed[node] = before[0] + shape.assumed[0], before[1] + shape.assumed[1]
        held = {r: state.held.get(r, 0) + value for r, value in used.items()}
        for other, nodes in zip(self.scheduler.shapes, self.open, strict=True):
            if node not in nodes:
                continue
            full = any(value > self._get_free(node, r) for r, value in other.requests.items())
            taken = any(ports_conflict(one, two) for one in other.ports for two in shape.ports)
            if full or taken or self._get_free(node, PODS) < 1:
                del nodes[node]
            else:
                nodes[node] = score(state.allocatable, held, self._assumed[node], other)

    def _take_devices(self, kind: int, node: int) -> None:
        allocation = self.scheduler.allocate(kind, node, self.claimed)
        if allocation is not None and allocation.devices:
            taken = self.claimed.taken.get(node, frozenset())
            self.claimed.taken[node] = taken | allocation.devices
        shared = (claim.shared for claim in self.scheduler.batches[kind].claims if claim.shared)
        self.claimed.shared.update(dict.fromkeys(shared, node))


def _has_room(requests: Amounts, state: NodeState) -> bool:
    return state.get_free(PODS) >= 1 and all(
        value <= state.get_free(name) for name, value in requests.items()
    )


def _interleave(kinds: Sequence[int]) -> list[int]:
    """One of each in turn, as when all controllers create pods at the same time."""
    seen: dict[int, int] = {}
    ranked = []
    for kind in kinds:
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], kind))
    return [kind for _, kind in sorted(ranked)]
