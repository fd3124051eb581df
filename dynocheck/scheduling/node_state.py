"""The nodes of a cluster: their free resources, and which pods they admit."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dynocheck.facts import Node, RunningPod
from dynocheck.scheduling.pod_spec_model import AffinityTerm, PodAffinityTerms, Port, Shape, ports_conflict
from dynocheck.scheduling.quantities import CPU, MEMORY, PODS, Amounts, parse_amounts
from dynocheck.scheduling.selectors import (
    count_disliked_taints,
    find_repelling_taint,
    format_expression,
    get_taints,
    term_matches,
)


class NodeState(msgspec.Struct, frozen=True):
    """A node and the amounts that its running pods hold.

    `assumed` are CPU and memory as scores count them, `number` the index of the node in its cluster.
    """

    number: int
    node: Node
    allocatable: Amounts
    held: Amounts
    assumed: tuple[int, int]
    pods: int
    ports: tuple[Port, ...]

    def get_free(self, resource: str) -> int:
        """The amount of a resource that is free for further pods."""
        if resource == PODS:
            return self.allocatable.get(PODS, 0) - self.pods
        return self.allocatable.get(resource, 0) - self.held.get(resource, 0)


class ClusterState:
    """The nodes and running pods of a cluster, and the affinity terms of those pods by node."""

    def __init__(self, nodes: Iterable[Node], running: Iterable[RunningPod]) -> None:
        by_node: dict[str, list[RunningPod]] = defaultdict(list)
        for pod in running:
            by_node[pod.node].append(pod)
        self.nodes = [_make_node_state(i, node, by_node.get(node.name, [])) for i, node in enumerate(nodes)]
        self.running = [(p.number, pod) for p in self.nodes for pod in by_node.get(p.node.name, ())]
        self.repelling: list[tuple[int, AffinityTerm]] = []  # node, anti-affinity term
        self.liking: list[tuple[int, int, AffinityTerm]] = []  # node, weight, preferred or required term
        for i, pod in self.running:
            if pod.affinity:
                terms = PodAffinityTerms.parse(pod.affinity, pod.namespace, pod.labels)
                self.repelling += [(i, term) for term in terms.far]
                self.liking += [(i, 1, term) for term in terms.near]
                self.liking += [(i, weight, term) for weight, term in terms.preferences]


def _make_node_state(number: int, node: Node, pods: Sequence[RunningPod]) -> NodeState:
    held: Counter[str] = Counter()
    for pod in pods:
        held.update(pod.requests)
    return NodeState(
        number=number,
        node=node,
        allocatable=parse_amounts(node.allocatable),
        held=held,
        assumed=(sum(pod.assumed[0] for pod in pods), sum(pod.assumed[1] for pod in pods)),
        pods=len(pods),
        ports=tuple(port for pod in pods for port in pod.ports),
    )


def explain_refusal(shape: Shape, node: Node) -> str:
    """Why a node does not admit a pod, even when empty; an empty text when it does."""
    if shape.node_name and shape.node_name != node.name:
        return f"is not {shape.node_name}"
    if node.is_down:
        return "is not Ready"
    if node.name in shape.barred:
        return shape.barred[node.name]
    for key, value in shape.node_selector.items():
        if node.labels.get(key) != value:
            return f"does not match nodeSelector {key}={value}"
    if shape.node_terms is not None and not any(term_matches(term, node) for term in shape.node_terms):
        return f"does not match node affinity {format_affinity(shape.node_terms)}"
    if node.unschedulable and find_repelling_taint(get_taints(node), shape.tolerations):
        return "is cordoned"
    taint = find_repelling_taint(get_taints(node), shape.tolerations)
    if taint is not None:
        value = f"={taint.value}" if taint.value else ""
        return f"has taint {taint.key}{value}:{taint.effect}, which is not tolerated"
    return ""


def format_affinity(terms: Iterable[Mapping[str, object]]) -> str:
    """The terms of a required node affinity in one line."""
    texts = []
    for term in terms:
        expressions = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]  # type: ignore[misc]
        texts.append(",".join(format_expression(expression) for expression in expressions))
    return " or ".join(texts)


def find_lacking(shape: Shape, state: NodeState) -> list[str]:
    """The resources that a node has too little of, even when empty."""
    return [
        resource
        for resource, value in {**shape.requests, PODS: 1}.items()
        if value > state.allocatable.get(resource, 0)
    ]


def find_port_conflict(shape: Shape, state: NodeState) -> Port | None:
    """The first host port of the pod that a running pod on the node already uses."""
    return next((port for port in shape.ports for other in state.ports if ports_conflict(port, other)), None)


def rate_preferences(shape: Shape, node: Node) -> tuple[int, int]:
    """The number of the node's PreferNoSchedule taints, and the weight of the node affinity it meets."""
    liked = sum(weight for weight, term in shape.node_preferences if term_matches(term, node))
    return count_disliked_taints(node.taints, shape.tolerations), liked


def score(place_allocatable: Amounts, held: Mapping[str, int], assumed: tuple[int, int], shape: Shape) -> int:
    """The scheduler's score, 0 to 200, of a node's free resources: how idle and how balanced it stays."""
    capacity = (place_allocatable.get(CPU, 0), place_allocatable.get(MEMORY, 0))
    idle, counted = 0, 0
    for have, before, wanted in zip(capacity, assumed, shape.assumed, strict=True):
        if have:
            used = before + wanted
            idle += (have - used) * 100 // have if used <= have else 0
            counted += 1
    least = idle // counted if counted else 0
    wanted_cpu, wanted_memory = shape.requests.get(CPU, 0), shape.requests.get(MEMORY, 0)
    if not wanted_cpu and not wanted_memory:
        return least
    before_cpu, before_memory = held.get(CPU, 0), held.get(MEMORY, 0)
    after = _score_balance((before_cpu + wanted_cpu, before_memory + wanted_memory), capacity)
    return least + 50 + (50 + after - _score_balance((before_cpu, before_memory), capacity)) // 2


def _score_balance(used: tuple[int, int], capacity: tuple[int, int]) -> int:
    if not all(capacity):
        return 100
    one, other = (min(u / c, 1.0) for u, c in zip(used, capacity, strict=True))
    return int((1 - abs((one - other) / 2)) * 100)
