"""Pod affinity, anti-affinity and topology spread, as counts of pods per topology domain.

A domain is a value of a node label. The counts start with the running pods; each placed pod adds to the
counts of those kinds whose terms select it. A kind is the index of a shape, a node the index of a node.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from dynocheck.facts import RunningPod
from dynocheck.scheduling.node_state import ClusterState
from dynocheck.scheduling.pod_spec_model import AffinityTerm, Shape, SpreadConstraint
from dynocheck.scheduling.selectors import find_repelling_taint, get_taints, matches, term_matches

Counts = Counter[tuple[str, str]]


class DomainCounts(msgspec.Struct):
    """The counts that decide where pods of one kind may be placed."""

    near: Counts = msgspec.field(default_factory=Counter)  # pods that match all its affinity terms
    far: Counts = msgspec.field(default_factory=Counter)  # pods that match a term of its anti-affinity
    repelling: Counts = msgspec.field(default_factory=Counter)  # terms of others' anti-affinity that match it
    liking: Counts = msgspec.field(default_factory=Counter)  # weights of preferences, its own and others'
    spread: list[Counts] = []  # pods that each of its constraints counts

    def copy(self) -> "DomainCounts":
        return DomainCounts(
            Counter(self.near),
            Counter(self.far),
            Counter(self.repelling),
            Counter(self.liking),
            [Counter(each) for each in self.spread],
        )


class _Effect(msgspec.Struct, frozen=True):
    """Placing a pod adds `weight` to a count of kind `kind`, for the domain of its node."""

    kind: int
    part: str
    key: str
    weight: int = 1
    constraint: int = -1


class Relations:
    """The initial counts of each kind of pod, and the effects of placing one."""

    def __init__(self, cluster: ClusterState, shapes: Sequence[Shape]) -> None:
        self.cluster = cluster
        self.shapes = shapes
        self.labels = [state.node.labels for state in cluster.nodes]
        self.eligible = [[self._find_eligible(shape, each) for each in shape.spread] for shape in shapes]
        self._effects = [self._find_effects(placed) for placed in shapes]
        self.start = [self._count_initial(kind) for kind in range(len(shapes))]
        self.matter = [self._matters(kind) for kind in range(len(shapes))]

    def state(self, counted: Sequence[DomainCounts], kind: int, node: int) -> None:
        """Count a pod of this kind that was placed on this node."""
        labels = self.labels[node]
        for effect in self._effects[kind]:
            value = labels.get(effect.key)
            if value is None:
                continue
            target = counted[effect.kind]
            if effect.constraint >= 0:
                if node in self.eligible[effect.kind][effect.constraint]:
                    target.spread[effect.constraint][effect.key, value] += 1
            else:
                getattr(target, effect.part)[effect.key, value] += effect.weight

    def explain_refusal(self, counted: DomainCounts, kind: int, node: int) -> str:
        """The constraint on other pods that excludes a kind from a node; an empty text when none does."""
        shape, labels = self.shapes[kind], self.labels[node]
        for term in shape.anti_affinity:
            if term.key in labels and counted.far[term.key, labels[term.key]] > 0:
                return f"its pod anti-affinity over {term.key}"
        if shape.affinity and not self._is_near(counted, shape, labels):
            return "its pod affinity"
        if counted.repelling and any(counted.repelling[pair] > 0 for pair in labels.items()):
            return "the anti-affinity of a pod there"
        for number, spread in enumerate(shape.spread):
            if not spread.soft and not self._is_even(counted, kind, number, node):
                return f"its topology spread over {spread.key}"
        return ""

    def _is_near(self, counted: DomainCounts, shape: Shape, labels: Mapping[str, str]) -> bool:
        if any(term.key not in labels for term in shape.affinity):
            return False
        if all(counted.near[term.key, labels[term.key]] > 0 for term in shape.affinity):
            return True
        # The first pod of a set with affinity to itself may be placed anywhere.
        return not any(counted.near.values()) and _matches_all_terms(shape.affinity, shape)

    def _is_even(self, counted: DomainCounts, kind: int, number: int, node: int) -> bool:
        shape = self.shapes[kind]
        spread, labels = shape.spread[number], self.labels[node]
        if spread.key not in labels:
            return False
        counts = counted.spread[number]
        fewest = min(counts.values(), default=0) if len(counts) >= spread.domains else 0
        itself = 1 if _counts_itself(spread, shape) else 0
        return counts[spread.key, labels[spread.key]] + itself - fewest <= spread.skew

    def _count_initial(self, kind: int) -> DomainCounts:
        shape, labels = self.shapes[kind], self.labels
        counts = DomainCounts()
        for number, spread in enumerate(shape.spread):
            nodes = self.eligible[kind][number]
            counts.spread.append(Counter({(spread.key, labels[i][spread.key]): 0 for i in nodes}))
        for i, term in self.cluster.repelling:
            if term.selects(shape.namespace, shape.labels):
                _add(counts.repelling, term.key, labels[i])
        for i, weight, term in self.cluster.liking:
            if term.selects(shape.namespace, shape.labels):
                _add(counts.liking, term.key, labels[i], weight)
        if shape.affinity or shape.anti_affinity or shape.preferences or shape.spread:
            for i, pod in self.cluster.running:
                self._count(counts, kind, i, pod)
        return counts

    def _count(self, counts: DomainCounts, kind: int, node: int, pod: RunningPod) -> None:
        shape, labels = self.shapes[kind], self.labels[node]
        if all(term.selects(pod.namespace, pod.labels) for term in shape.affinity):
            for term in shape.affinity:
                _add(counts.near, term.key, labels)
        for term in shape.anti_affinity:
            if term.selects(pod.namespace, pod.labels):
                _add(counts.far, term.key, labels)
        for weight, term in shape.preferences:
            if term.selects(pod.namespace, pod.labels):
                _add(counts.liking, term.key, labels, weight)
        if pod.namespace == shape.namespace and not pod.terminating:
            for number, spread in enumerate(shape.spread):
                if node in self.eligible[kind][number] and spread.counts(pod.labels):
                    _add(counts.spread[number], spread.key, labels)

    def _find_effects(self, placed: Shape) -> list[_Effect]:
        effects = []
        for kind, shape in enumerate(self.shapes):
            if shape.affinity and _matches_all_terms(shape.affinity, placed):
                effects += [_Effect(kind, "near", term.key) for term in shape.affinity]
            effects += [_Effect(kind, "far", t.key) for t in shape.anti_affinity if _matches_term(t, placed)]
            effects += [
                _Effect(kind, "repelling", t.key) for t in placed.anti_affinity if _matches_term(t, shape)
            ]
            effects += [
                _Effect(kind, "liking", t.key, w) for w, t in shape.preferences if _matches_term(t, placed)
            ]
            effects += [
                _Effect(kind, "liking", t.key, w) for w, t in placed.preferences if _matches_term(t, shape)
            ]
            effects += [_Effect(kind, "liking", t.key) for t in placed.affinity if _matches_term(t, shape)]
            if shape.namespace == placed.namespace:
                effects += [
                    _Effect(kind, "spread", spread.key, constraint=number)
                    for number, spread in enumerate(shape.spread)
                    if spread.counts(placed.labels)
                ]
        return effects

    def _find_eligible(self, shape: Shape, spread: SpreadConstraint) -> frozenset[int]:
        """The nodes whose pods a topology spread constraint counts."""
        keys = {other.key for other in shape.spread if other.soft == spread.soft}
        eligible = []
        for i, state in enumerate(self.cluster.nodes):
            node = state.node
            if not keys <= node.labels.keys():
                continue
            if spread.honors_affinity and not _matches_node(shape, i, self.cluster):
                continue
            if spread.honors_taints and find_repelling_taint(get_taints(node), shape.tolerations):
                continue
            eligible.append(i)
        return frozenset(eligible)

    def _matters(self, kind: int) -> bool:
        """Whether any count can exclude pods of this kind from a node."""
        shape = self.shapes[kind]
        return bool(
            shape.affinity
            or shape.anti_affinity
            or any(not spread.soft for spread in shape.spread)
            or self.start[kind].repelling
            or any(e.kind == kind and e.part == "repelling" for each in self._effects for e in each)
        )


def _add(counts: Counts, key: str, labels: Mapping[str, str], weight: int = 1) -> None:
    if key in labels:
        counts[key, labels[key]] += weight


def _counts_itself(spread: SpreadConstraint, shape: Shape) -> bool:
    """Whether a pod counts for its own topology spread constraint."""
    return matches(spread.selector, shape.labels)


def _matches_term(term: AffinityTerm, shape: Shape) -> bool:
    return term.selects(shape.namespace, shape.labels)


def _matches_all_terms(terms: Sequence[AffinityTerm], shape: Shape) -> bool:
    return bool(terms) and all(_matches_term(term, shape) for term in terms)


def _matches_node(shape: Shape, node: int, cluster: ClusterState) -> bool:
    """Whether a node matches the pod's node selector and required node affinity."""
    candidate = cluster.nodes[node].node
    if any(candidate.labels.get(key) != value for key, value in shape.node_selector.items()):
        return False
    return shape.node_terms is None or any(term_matches(term, candidate) for term in shape.node_terms)
