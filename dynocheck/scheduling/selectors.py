"""Label selectors, node affinity terms, taints and tolerations, as Kubernetes evaluates them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dynocheck.facts import Node, Taint

NAME_LABEL = "kubernetes.io/metadata.name"
UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "NoSchedule")
_REPELLING = {"NoSchedule", "NoExecute"}
_READINESS = {
    "False": Taint("node.kubernetes.io/not-ready", "NoSchedule"),
    "Unknown": Taint("node.kubernetes.io/unreachable", "NoSchedule"),
}
_PRESSURES = {
    "MemoryPressure": "memory-pressure",
    "DiskPressure": "disk-pressure",
    "PIDPressure": "pid-pressure",
    "NetworkUnavailable": "network-unavailable",
}

Selector = Mapping[str, Any] | None
Labels = Mapping[str, str]


def matches(selector: Selector, labels: Labels) -> bool:
    """Whether a LabelSelector matches these labels. None matches nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_is_met(expression, labels) for expression in selector.get("matchExpressions") or ())


def is_empty(selector: Selector) -> bool:
    """Whether a LabelSelector matches everything."""
    return selector is not None and not (selector.get("matchLabels") or selector.get("matchExpressions"))


def term_matches(term: Mapping[str, Any], node: Node) -> bool:
    """Whether a node affinity term matches a node. An empty term matches none."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    values = {"metadata.name": node.name}
    return all(_is_met(expression, node.labels) for expression in expressions) and all(
        _is_met(field, values) for field in fields
    )


def _is_met(expression: Mapping[str, Any], labels: Labels) -> bool:
    value = labels.get(expression.get("key", ""))
    values: Sequence[str] = expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compare_numbers(operator, value, values)
    return False


def _compare_numbers(operator: str, value: str | None, values: Sequence[str]) -> bool:
    try:
        have, bound = int(value or ""), int(values[0])
    except (ValueError, TypeError, IndexError):
        return False
    return have > bound if operator == "Gt" else have < bound


def format_expression(expression: Mapping[str, Any]) -> str:
    """A requirement of a selector in kubectl's syntax."""
    key: str = expression.get("key", "")
    values: Sequence[str] = expression.get("values") or ()
    match expression.get("operator"):
        case "In" if len(values) == 1:
            return f"{key}={values[0]}"
        case "In":
            return f"{key} in ({', '.join(map(str, values))})"
        case "NotIn":
            return f"{key} notin ({', '.join(map(str, values))})"
        case "Exists":
            return key
        case "DoesNotExist":
            return f"!{key}"
    return " ".join(map(str, (key, expression.get("operator"), *values)))


def get_taints(node: Node) -> tuple[Taint, ...]:
    """A node's taints, with those of its conditions that the node controller may not have written yet."""
    implied = [UNSCHEDULABLE] if node.unschedulable else []
    for condition in node.conditions:
        if condition.type == "Ready" and condition.status in _READINESS:
            implied.append(_READINESS[condition.status])
        elif condition.type in _PRESSURES and condition.status == "True":
            implied.append(Taint(f"node.kubernetes.io/{_PRESSURES[condition.type]}", "NoSchedule"))
    existing = {(taint.key, taint.effect) for taint in node.taints}
    return (*node.taints, *(taint for taint in implied if (taint.key, taint.effect) not in existing))


def find_repelling_taint(
    node_taints: Iterable[Taint], tolerations: Iterable[Mapping[str, Any]]
) -> Taint | None:
    """The first NoSchedule or NoExecute taint that is not tolerated, if any."""
    tolerations = tuple(tolerations)
    for taint in node_taints:
        if taint.effect in _REPELLING and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None


def count_disliked_taints(node_taints: Iterable[Taint], tolerations: Iterable[Mapping[str, Any]]) -> int:
    """The number of PreferNoSchedule taints that are not tolerated."""
    relevant = [t for t in tolerations if not t.get("effect") or t["effect"] == "PreferNoSchedule"]
    return sum(
        taint.effect == "PreferNoSchedule"
        and not any(tolerates(toleration, taint) for toleration in relevant)
        for taint in node_taints
    )


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Whether a toleration tolerates a taint."""
    if toleration.get("effect") and toleration["effect"] != taint.effect:
        return False
    key = toleration.get("key") or ""
    if key and key != taint.key:
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return (toleration.get("value") or "") == taint.value
    return False
