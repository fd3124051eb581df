"""Why a pod finds no node: what keeps it off all of them, or the one that came nearest."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from dynocheck.scheduling.first_fit import Scheduler, SchedulingResult
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
    """`ever` is false when no node of the cluster could hold the pod, however empty."""

    text: str
    ever: bool
    node: str = ""
    needs: dict[str, str] = {}
    free: dict[str, str] = {}
    holders: dict[str, str] = {}


def diagnose(table: Scheduler, kind: int, placing: SchedulingResult) -> Diagnosis:
    """Why pods of this kind were left without a node."""
    shape, places = table.shapes[kind], table.board.places
    if not places:
        return Diagnosis("the cluster has no nodes", ever=False)
    allowed = table.allowed[kind]
    if not allowed:
        return Diagnosis(_explain_no_node(shape, places), ever=False)
    large = [i for i in allowed if not find_lacking(shape, places[i])]
    if not large:
        return _diagnose_too_small(shape, [places[i] for i in allowed])
    return _diagnose_full(table, kind, placing, large)


def _explain_no_node(shape: Shape, places: Sequence[NodeState]) -> str:
    """Why no node may be used at all: the one demand that no node meets, or what the nearest say."""
    nodes = [place.node for place in places]
    for key, value in shape.node_selector.items():
        if not any(node.labels.get(key) == value for node in nodes):
            return f"no node matches nodeSelector {key}={value}"
    wanted = shape.node_terms
    if wanted is not None and not any(term_matches(term, node) for term in wanted for node in nodes):
        return f"no node matches node affinity {format_affinity(wanted)}"
    said = Counter(explain_refusal(shape, node) for node in nodes)
    near = {text: n for text, n in said.items() if not text.startswith("does not match")} or said
    return "; ".join(f"{count} of {len(nodes)} nodes: {text}" for text, count in Counter(near).most_common(3))


def _diagnose_too_small(shape: Shape, places: Sequence[NodeState]) -> Diagnosis:
    best = max(
        places, key=lambda place: (-len(find_lacking(shape, place)), _compute_share(shape, place.allocatable))
    )
    missing = find_lacking(shape, best)
    needs = {resource: format_amount(resource, shape.requests.get(resource, 1)) for resource in missing}
    has = {resource: format_amount(resource, best.allocatable.get(resource, 0)) for resource in missing}
    return Diagnosis(
        f"no node could ever hold it: needs {_format_needs(needs)}, the largest node it may use, "
        f"{best.node.name}, has {', '.join(has.values())}",
        ever=False,
        node=best.node.name,
        needs=needs,
        free=has,
    )


def _diagnose_full(table: Scheduler, kind: int, placing: SchedulingResult, large: Sequence[int]) -> Diagnosis:
    shape, places = table.shapes[kind], table.board.places
    free = {i: _compute_free(places[i], placing, shape) for i in large}
    roomy = [i for i in large if not _find_short(shape, free[i])]
    if roomy:
        said = Counter(_explain_forbidden(table, kind, placing, i) for i in roomy)
        text, _ = said.most_common(1)[0]
        count = f"{len(roomy)} node has" if len(roomy) == 1 else f"{len(roomy)} nodes have"
        return Diagnosis(f"{count} room, but {text} forbids it", ever=True, node=places[roomy[0]].node.name)
    best = max(large, key=lambda i: (-len(_find_short(shape, free[i])), _compute_share(shape, free[i])))
    missing = _find_short(shape, free[best])
    needs = {resource: format_amount(resource, shape.requests.get(resource, 1)) for resource in missing}
    has = {resource: format_amount(resource, free[best][resource]) for resource in missing}
    name = places[best].node.name
    return Diagnosis(
        f"needs {_format_needs(needs)}, the best node {name} has {', '.join(has.values())} free",
        ever=True,
        node=name,
        needs=needs,
        free=has,
        holders=_list_holders(table, placing, large, missing[0]),
    )


def _compute_free(place: NodeState, placing: SchedulingResult, shape: Shape) -> dict[str, int]:
    used = placing.used.get(place.number, {})
    return {r: place.get_free(r) - used.get(r, 0) for r in (*shape.requests, PODS)}


def _find_short(shape: Shape, free: dict[str, int]) -> list[str]:
    return [r for r, value in {**shape.requests, PODS: 1}.items() if value > free[r]]


def _explain_forbidden(table: Scheduler, kind: int, placing: SchedulingResult, node: int) -> str:
    shape, place = table.shapes[kind], table.board.places[node]
    port = find_port_conflict(shape, place)
    if port is not None:
        return f"host port {port[2]}, which another pod has,"
    refused = table.relations.explain_refusal(placing.counted[kind], kind, node)
    return refused or "a host port that another pod of the graph has"


def _list_holders(
    table: Scheduler, placing: SchedulingResult, nodes: Sequence[int], resource: str
) -> dict[str, str]:
    """Who holds a resource on these nodes: the namespaces that hold most, and the graph's other pods."""
    held: Counter[str] = Counter()
    wanted = set(nodes)
    for node, pod in table.board.running:
        if node in wanted:
            held[pod.namespace] += 1 if resource == PODS else pod.requests.get(resource, 0)
    top = {name: format_amount(resource, value) for name, value in held.most_common(_HOLDERS) if value}
    own = sum(placing.used.get(node, {}).get(resource, 0) for node in nodes)
    return {**top, **({"(this graph)": format_amount(resource, own)} if own else {})}


def _compute_share(shape: Shape, amounts: dict[str, int]) -> float:
    """How much of what it needs a node has, of what it has least."""
    return min((min(1.0, amounts.get(r, 0) / v) for r, v in shape.requests.items() if v), default=1.0)


def _format_needs(needs: dict[str, str]) -> str:
    return " and ".join(f"{value} {resource}" for resource, value in needs.items())
