"""Why a pod finds no node: what keeps it off all of them, or the one that came nearest."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from dynocheck.scheduling.first_fit import Placing, Table
from dynocheck.scheduling.node_state import Place, affinity_text, lacking, port_taken, refusal
from dynocheck.scheduling.pod_spec_model import Shape
from dynocheck.scheduling.quantities import PODS, shown
from dynocheck.scheduling.selectors import term_matches

_HOLDERS = 3


class Reason(msgspec.Struct, frozen=True):
    """`ever` is false when no node of the cluster could hold the pod, however empty."""

    text: str
    ever: bool
    node: str = ""
    needs: dict[str, str] = {}
    free: dict[str, str] = {}
    holders: dict[str, str] = {}


def reason(table: Table, kind: int, placing: Placing) -> Reason:
    """Why pods of this kind were left without a node."""
    shape, places = table.shapes[kind], table.board.places
    if not places:
        return Reason("the cluster has no nodes", ever=False)
    allowed = table.allowed[kind]
    if not allowed:
        return Reason(_kept_off(shape, places), ever=False)
    large = [i for i in allowed if not lacking(shape, places[i])]
    if not large:
        return _too_small(shape, [places[i] for i in allowed])
    return _full(table, kind, placing, large)


def _kept_off(shape: Shape, places: Sequence[Place]) -> str:
    """Why no node may be used at all: the one demand that no node meets, or what the nearest say."""
    nodes = [place.node for place in places]
    for key, value in shape.node_selector.items():
        if not any(node.labels.get(key) == value for node in nodes):
            return f"no node matches nodeSelector {key}={value}"
    wanted = shape.node_terms
    if wanted is not None and not any(term_matches(term, node) for term in wanted for node in nodes):
        return f"no node matches node affinity {affinity_text(wanted)}"
    said = Counter(refusal(shape, node) for node in nodes)
    near = {text: n for text, n in said.items() if not text.startswith("does not match")} or said
    return "; ".join(f"{count} of {len(nodes)} nodes: {text}" for text, count in Counter(near).most_common(3))


def _too_small(shape: Shape, places: Sequence[Place]) -> Reason:
    best = max(places, key=lambda place: (-len(lacking(shape, place)), _share(shape, place.allocatable)))
    missing = lacking(shape, best)
    needs = {resource: shown(resource, shape.requests.get(resource, 1)) for resource in missing}
    has = {resource: shown(resource, best.allocatable.get(resource, 0)) for resource in missing}
    return Reason(
        f"no node could ever hold it: needs {_listed(needs)}, the largest node it may use, "
        f"{best.node.name}, has {', '.join(has.values())}",
        ever=False,
        node=best.node.name,
        needs=needs,
        free=has,
    )


def _full(table: Table, kind: int, placing: Placing, large: Sequence[int]) -> Reason:
    shape, places = table.shapes[kind], table.board.places
    free = {i: _free(places[i], placing, shape) for i in large}
    roomy = [i for i in large if not _short(shape, free[i])]
    if roomy:
        said = Counter(_forbidden(table, kind, placing, i) for i in roomy)
        text, _ = said.most_common(1)[0]
        count = f"{len(roomy)} node has" if len(roomy) == 1 else f"{len(roomy)} nodes have"
        return Reason(f"{count} room, but {text} forbids it", ever=True, node=places[roomy[0]].node.name)
    best = max(large, key=lambda i: (-len(_short(shape, free[i])), _share(shape, free[i])))
    missing = _short(shape, free[best])
    needs = {resource: shown(resource, shape.requests.get(resource, 1)) for resource in missing}
    has = {resource: shown(resource, free[best][resource]) for resource in missing}
    name = places[best].node.name
    return Reason(
        f"needs {_listed(needs)}, the best node {name} has {', '.join(has.values())} free",
        ever=True,
        node=name,
        needs=needs,
        free=has,
        holders=_holders(table, placing, large, missing[0]),
    )


def _free(place: Place, placing: Placing, shape: Shape) -> dict[str, int]:
    used = placing.used.get(place.number, {})
    return {r: place.free(r) - used.get(r, 0) for r in (*shape.requests, PODS)}


def _short(shape: Shape, free: dict[str, int]) -> list[str]:
    return [r for r, value in {**shape.requests, PODS: 1}.items() if value > free[r]]


def _forbidden(table: Table, kind: int, placing: Placing, node: int) -> str:
    shape, place = table.shapes[kind], table.board.places[node]
    port = port_taken(shape, place)
    if port is not None:
        return f"host port {port[2]}, which another pod has,"
    refused = table.relations.refusal(placing.counted[kind], kind, node)
    return refused or "a host port that another pod of the graph has"


def _holders(table: Table, placing: Placing, nodes: Sequence[int], resource: str) -> dict[str, str]:
    """Who holds a resource on these nodes: the namespaces that hold most, and the graph's other pods."""
    held: Counter[str] = Counter()
    wanted = set(nodes)
    for node, pod in table.board.running:
        if node in wanted:
            held[pod.namespace] += 1 if resource == PODS else pod.requests.get(resource, 0)
    top = {name: shown(resource, value) for name, value in held.most_common(_HOLDERS) if value}
    own = sum(placing.used.get(node, {}).get(resource, 0) for node in nodes)
    return {**top, **({"(this graph)": shown(resource, own)} if own else {})}


def _share(shape: Shape, amounts: dict[str, int]) -> float:
    """How much of what it needs a node has, of what it has least."""
    return min((min(1.0, amounts.get(r, 0) / v) for r, v in shape.requests.items() if v), default=1.0)


def _listed(needs: dict[str, str]) -> str:
    return " and ".join(f"{value} {resource}" for resource, value in needs.items())
