"""Explains why a pod fits on no node: what excludes it from all nodes, or from the best one."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from dynocheck.scheduling.first_fit import ClaimedDevices, Scheduler, SchedulingResult
from dynocheck.scheduling.node_state import (
    NodeState,
    explain_refusal,
    find_lacking,
    find_port_conflict,
    format_affinity,
)
from dynocheck.scheduling.pod_spec_model import Shape
from dynocheck.scheduling.quantities import PODS, format_amount
from dynocheck.scheduling.selectors import term_matches

_HOLDERS = 3


class Diagnosis(msgspec.Struct, frozen=True):
    """Why a pod fits on no node; `ever` is false when it would not even fit on an empty one.

    `needs` and `free` are amounts by resource, `holders` amounts by namespace of the scarcest resource.
    """

    text: str
    ever: bool
    node: str = ""
    needs: dict[str, str] = {}
    free: dict[str, str] = {}
    holders: dict[str, str] = {}


def diagnose(scheduler: Scheduler, kind: int, result: SchedulingResult) -> Diagnosis:
    """Why the pods of a batch, by its index, got no node in a result."""
    shape, states = scheduler.shapes[kind], scheduler.cluster.nodes
    if not states:
        return Diagnosis("the cluster has no nodes", ever=False)
    allowed = scheduler.allowed[kind]
    if not allowed:
        return Diagnosis(_explain_no_node(shape, states), ever=False)
    large = [i for i in allowed if not find_lacking(shape, states[i])]
    if not large:
        admitting = set(allowed)
        others = [state for i, state in enumerate(states) if i not in admitting]
        return _diagnose_too_small(shape, [states[i] for i in allowed], others)
    allocations = {i: scheduler.allocate(kind, i, ClaimedDevices()) for i in large}
    contradicting = [i for i, found in allocations.items() if found is not None and found.contradicts]
    if contradicting:
        name = states[contradicting[0]].node.name
        text = f"its claim wants all devices of a node, and its constraint forbids those of {name}: "
        return Diagnosis(f"{text}kube-scheduler then places it on no node", ever=False, node=name)
    if not any(allocations.values()):
        return Diagnosis("no allowed node has free devices that meet its claims", ever=False)
    return _diagnose_full(scheduler, kind, result, large)


def _explain_no_node(shape: Shape, states: Sequence[NodeState]) -> str:
    """The one constraint that no node meets, or else the most frequent refusals of nodes."""
    nodes = [state.node for state in states]
    for key, value in shape.node_selector.items():
        if not any(node.labels.get(key) == value for node in nodes):
            return f"no node matches nodeSelector {key}={value}"
    terms = shape.node_terms
    if terms is not None and not any(term_matches(term, node) for term in terms for node in nodes):
        return f"no node matches node affinity {format_affinity(terms)}"
    refusals = Counter(explain_refusal(shape, node) for node in nodes)
    selected = {text: n for text, n in refusals.items() if not text.startswith("does not match")} or refusals
    common = Counter(selected).most_common(3)
    return "; ".join(f"{count} of {len(nodes)} nodes: {text}" for text, count in common)


def _diagnose_too_small(
    shape: Shape, states: Sequence[NodeState], refusing: Sequence[NodeState]
) -> Diagnosis:
    """:param refusing: the nodes that do not admit the pod, of which some may be large enough."""
    best = max(
        states, key=lambda state: (-len(find_lacking(shape, state)), _compute_share(shape, state.allocatable))
    )
    missing = find_lacking(shape, best)
    needs = _format_amounts(missing, shape.requests, 1)
    has = _format_amounts(missing, best.allocatable, 0)
    text = f"no node is large enough: needs {_format_needs(needs)}; the largest allowed node, "
    text += f"{best.node.name}, has {', '.join(has.values())}"
    refusals = Counter(explain_refusal(shape, s.node) for s in refusing if not find_lacking(shape, s))
    if refusals:
        larger = (
            "1 larger node refuses" if refusals.total() == 1 else f"{refusals.total()} larger nodes refuse"
        )
        text = f"needs {_format_needs(needs)}; {larger} it: {refusals.most_common(1)[0][0]}"
    return Diagnosis(
        text,
        ever=False,
        node=best.node.name,
        needs=needs,
        free=has,
    )


def _diagnose_full(
    scheduler: Scheduler, kind: int, result: SchedulingResult, large: Sequence[int]
) -> Diagnosis:
    shape, states = scheduler.shapes[kind], scheduler.cluster.nodes
    free = {i: _compute_free(states[i], result, shape) for i in large}
    roomy = [i for i in large if not _find_short(shape, free[i])]
    if roomy:
        exclusions = Counter(_explain_exclusion(scheduler, kind, result, i) for i in roomy)
        text, _ = exclusions.most_common(1)[0]
        nodes = "1 node has" if len(roomy) == 1 else f"{len(roomy)} nodes have"
        return Diagnosis(f"{nodes} room, but {text} excludes it", ever=True, node=states[roomy[0]].node.name)
    best = max(large, key=lambda i: (-len(_find_short(shape, free[i])), _compute_share(shape, free[i])))
    missing = _find_short(shape, free[best])
    needs = _format_amounts(missing, shape.requests, 1)
    has = _format_amounts(missing, free[best], 0)
    name = states[best].node.name
    text = f"needs {_format_needs(needs)}; the best node, {name}, has {', '.join(has.values())} free"
    return Diagnosis(
        text + _explain_barred(shape),
        ever=True,
        node=name,
        needs=needs,
        free=has,
        holders=_list_holders(scheduler, result, large, missing[0]),
    )


def _explain_barred(shape: Shape) -> str:
    """The most frequent reason for which nodes are barred, as the end of a text; empty if none is."""
    for reason, count in Counter(shape.barred.values()).most_common(1):
        return f"; {count} other {'node refuses' if count == 1 else 'nodes refuse'} it: {reason}"
    return ""


def _compute_free(state: NodeState, result: SchedulingResult, shape: Shape) -> dict[str, int]:
    used = result.used.get(state.number, {})
    return {r: state.get_free(r) - used.get(r, 0) for r in (*shape.requests, PODS)}


def _find_short(shape: Shape, free: dict[str, int]) -> list[str]:
    return [r for r, value in {**shape.requests, PODS: 1}.items() if value > free[r]]


def _explain_exclusion(scheduler: Scheduler, kind: int, result: SchedulingResult, node: int) -> str:
    shape, state = scheduler.shapes[kind], scheduler.cluster.nodes[node]
    port = find_port_conflict(shape, state)
    if port is not None:
        return f"host port {port[2]} of another pod"
    if scheduler.allocate(kind, node, result.claimed) is None:
        shared = {claim.shared for claim in scheduler.batches[kind].claims} & result.claimed.shared.keys()
        return "a shared claim on another node" if shared else "a lack of free devices for its claims"
    if (volumes := scheduler.explain_volumes(kind, node, result.mounted)) is not None:
        return volumes
    refusal = scheduler.relations.explain_refusal(result.counted[kind], kind, node)
    return refusal or "a host port of another pod of the graph"


def _list_holders(
    scheduler: Scheduler, result: SchedulingResult, nodes: Sequence[int], resource: str
) -> dict[str, str]:
    """The amounts of a resource that the top namespaces and the graph's other pods hold on these nodes."""
    held: Counter[str] = Counter()
    wanted = set(nodes)
    for node, pod in scheduler.cluster.running:
        if node in wanted:
            held[pod.namespace] += 1 if resource == PODS else pod.requests.get(resource, 0)
    top = {name: format_amount(resource, value) for name, value in held.most_common(_HOLDERS) if value}
    own = sum(result.used.get(node, {}).get(resource, 0) for node in nodes)
    return {**top, **({"(this graph)": format_amount(resource, own)} if own else {})}


def _compute_share(shape: Shape, amounts: dict[str, int]) -> float:
    """The smallest share, 0 to 1, of a needed resource that these amounts cover."""
    return min((min(1.0, amounts.get(r, 0) / v) for r, v in shape.requests.items() if v), default=1.0)


def _format_amounts(resources: Sequence[str], amounts: dict[str, int], default: int) -> dict[str, str]:
    return {resource: format_amount(resource, amounts.get(resource, default)) for resource in resources}


def _format_needs(needs: dict[str, str]) -> str:
    return " and ".join(f"{value} {resource}" for resource, value in needs.items())
