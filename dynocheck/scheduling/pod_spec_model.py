"""What of a pod the scheduler looks at."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec

from dynocheck.scheduling.quantities import (
    CPU,
    MEMORY,
    Amounts,
    merge_largest,
    parse_exact,
    scale_amount,
    sum_resources,
)
from dynocheck.scheduling.selectors import NAME_LABEL, Labels, Selector, is_empty, matches

HOSTNAME = "kubernetes.io/hostname"

# What the scheduler's scores take a container for that asks for none: pkg/scheduler/util/pod_resources.go
_ASSUMED = {CPU: Fraction(1, 10), MEMORY: Fraction(200 * 1024**2)}
_POD_LEVEL = (CPU, MEMORY)

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

Spec = Mapping[str, Any]
Quantities = dict[str, Fraction]
Defaults = Mapping[str, Mapping[str, Fraction]]
Port = tuple[str, str, int]


class AffinityTerm(msgspec.Struct, frozen=True):
    """A term of pod affinity or anti-affinity."""

    key: str
    selector: Selector
    namespaces: frozenset[str]
    every_namespace: bool = False
    namespace_selector: Selector = None

    def selects(self, namespace: str, labels: Labels) -> bool:
        """Whether a pod with these labels in this namespace is one that the term is about."""
        inside = self.every_namespace or namespace in self.namespaces
        if not inside and self.namespace_selector is not None:
            inside = matches(self.namespace_selector, {NAME_LABEL: namespace})
        return inside and matches(self.selector, labels)


class PodAffinityTerms(NamedTuple):
    """What a pod says of others: those it must be near, must be far from, and would rather be near or not."""

    near: tuple[AffinityTerm, ...]
    far: tuple[AffinityTerm, ...]
    preferences: tuple[tuple[int, AffinityTerm], ...]

    @classmethod
    def parse(cls, affinity: "Spec", namespace: str, labels: Labels) -> "PodAffinityTerms":
        near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
        return cls(
            tuple(_parse_terms(near.get(_REQUIRED), namespace, labels)),
            tuple(_parse_terms(far.get(_REQUIRED), namespace, labels)),
            (
                *_parse_weighted_terms(near, namespace, labels, 1),
                *_parse_weighted_terms(far, namespace, labels, -1),
            ),
        )


class SpreadConstraint(msgspec.Struct, frozen=True):
    """A topology spread constraint; `soft` when it is only preferred."""

    key: str
    selector: Selector
    skew: int = 1
    domains: int = 1
    soft: bool = False
    honors_affinity: bool = True
    honors_taints: bool = False

    def counts(self, labels: Labels) -> bool:
        """Whether a placed pod counts: by a quirk of the scheduler none does for an empty selector."""
        return not is_empty(self.selector) and matches(self.selector, labels)


class Shape(msgspec.Struct, frozen=True):
    """A pod to be scheduled: what it needs, where it may go, beside whom."""

    namespace: str
    labels: Labels = {}
    requests: Amounts = {}
    assumed: tuple[int, int] = (0, 0)  # CPU and memory as scores count them
    node_selector: Labels = {}
    node_terms: tuple[Spec, ...] | None = None
    node_preferences: tuple[tuple[int, Spec], ...] = ()
    affinity: tuple[AffinityTerm, ...] = ()
    anti_affinity: tuple[AffinityTerm, ...] = ()
    preferences: tuple[tuple[int, AffinityTerm], ...] = ()
    tolerations: tuple[Spec, ...] = ()
    spread: tuple[SpreadConstraint, ...] = ()
    ports: tuple[Port, ...] = ()
    node_name: str = ""


def parse_shape(
    spec: Spec, namespace: str, labels: Labels | None = None, defaults: Defaults | None = None
) -> Shape:
    """The shape of a pod's spec.

    :param defaults: what a LimitRange gives containers that ask for nothing: `default` and `defaultRequest`.
    :raises ValueError: a quantity is none.
    """
    labels = labels or {}
    affinity = spec.get("affinity") or {}
    of_node = affinity.get("nodeAffinity") or {}
    required = of_node.get(_REQUIRED)
    requests = sum_pod_requests(spec, defaults=defaults)
    scored = sum_pod_requests(spec, defaults=defaults, assumed=_ASSUMED)
    company = PodAffinityTerms.parse(affinity, namespace, labels)
    return Shape(
        namespace=namespace,
        labels=labels,
        requests={name: scale_amount(name, value) for name, value in requests.items() if value},
        assumed=(
            scale_amount(CPU, scored.get(CPU, Fraction(0))),
            scale_amount(MEMORY, scored.get(MEMORY, Fraction(0))),
        ),
        node_selector=spec.get("nodeSelector") or {},
        node_terms=tuple(required.get("nodeSelectorTerms") or ()) if required is not None else None,
        node_preferences=tuple(
            (int(each.get("weight") or 0), each.get("preference") or {})
            for each in of_node.get(_PREFERRED) or ()
        ),
        affinity=company.near,
        anti_affinity=company.far,
        preferences=company.preferences,
        tolerations=tuple(spec.get("tolerations") or ()),
        spread=tuple(_parse_spreads(spec, labels)),
        ports=tuple(list_host_ports(spec)),
        node_name=spec.get("nodeName") or "",
    )


def add_tolerations(found: Shape) -> Shape:
    """The shape with what the admission plugin ExtendedResourceToleration adds: a toleration of the taint
    that is named like a resource which the pod asks for.
    """
    extended = [name for name in found.requests if "/" in name and "kubernetes.io/" not in name]
    added = ({"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in extended)
    return msgspec.structs.replace(found, tolerations=(*found.tolerations, *added))


def sum_pod_requests(
    spec: Spec, *, defaults: Defaults | None = None, assumed: Mapping[str, Fraction] | None = None
) -> Quantities:
    """What a pod asks for: its containers together, or more while it starts, and its overhead.

    :param assumed: what a container counts for that asks for none.
    :raises ValueError: a quantity is none.
    """
    return _sum_pod(spec, "requests", lambda c: {**(assumed or {}), **parse_resources(c, defaults)[0]})


def sum_pod_limits(spec: Spec, defaults: Defaults | None = None) -> Quantities:
    """What a pod may use at most, added up in the same way.

    :raises ValueError: a quantity is none.
    """
    return _sum_pod(spec, "limits", lambda container: parse_resources(container, defaults)[1])


def _sum_pod(spec: Spec, side: str, asked: Callable[[Spec], Quantities]) -> Quantities:
    running = sum_resources(asked(container) for container in spec.get("containers") or ())
    beside: Quantities = {}
    starting: Quantities = {}
    for container in spec.get("initContainers") or ():
        amounts = asked(container)
        if container.get("restartPolicy") == "Always":
            running, beside = sum_resources((running, amounts)), sum_resources((beside, amounts))
            starting = merge_largest(starting, beside)
        else:
            starting = merge_largest(starting, sum_resources((beside, amounts)))
    whole = (spec.get("resources") or {}).get(side) or {}
    stated = {
        name: parse_exact(value)
        for name, value in whole.items()
        if name in _POD_LEVEL or name.startswith("hugepages-")
    }
    overhead = {name: parse_exact(value) for name, value in (spec.get("overhead") or {}).items()}
    return sum_resources(({**merge_largest(running, starting), **stated}, overhead))


def parse_resources(container: Spec, defaults: Defaults | None = None) -> tuple[Quantities, Quantities]:
    """A container's requests and limits: a limit is the request of what has none, then defaults fill in.

    :raises ValueError: a quantity is none.
    """
    resources = container.get("resources") or {}
    limits = {name: parse_exact(v) for name, v in (resources.get("limits") or {}).items() if v is not None}
    stated = {name: parse_exact(v) for name, v in (resources.get("requests") or {}).items() if v is not None}
    requests = {**limits, **stated}
    if defaults:
        limits = {**defaults.get("default", {}), **limits}
        requests = {**defaults.get("defaultRequest", {}), **requests}
    return requests, limits


def _parse_terms(found: Sequence[Spec] | None, namespace: str, labels: Labels) -> Iterable[AffinityTerm]:
    """The terms of an affinity of a pod in this namespace with these labels."""
    for each in found or ():
        selected = each.get("namespaceSelector")
        names = each.get("namespaces") or ([] if selected is not None else [namespace])
        yield AffinityTerm(
            key=each.get("topologyKey") or "",
            selector=_add_label_keys(each, labels),
            namespaces=frozenset(names),
            every_namespace=is_empty(selected),
            namespace_selector=selected,
        )


def needs_namespace_labels(found: Iterable[AffinityTerm]) -> bool:
    """Whether a term asks for labels of namespaces beyond the one that each has by itself."""
    for term in found:
        if term.namespace_selector is not None and not term.every_namespace:
            stated = term.namespace_selector.get("matchLabels") or {}
            keys = {e.get("key") for e in term.namespace_selector.get("matchExpressions") or ()}
            if {*stated, *keys} - {NAME_LABEL}:
                return True
    return False


def list_host_ports(spec: Spec) -> Iterable[Port]:
    """The ports of the node that a pod takes: protocol, address and number."""
    on_host = bool(spec.get("hostNetwork"))
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if on_host else 0)
            if isinstance(number, int) and number > 0:
                yield port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", number  # noqa: S104


def ports_conflict(one: Port, other: Port) -> bool:
    """Whether two pods of one node cannot both have these ports."""
    anywhere = "0.0.0.0"  # noqa: S104
    return (
        one[0] == other[0] and one[2] == other[2] and (one[1] == other[1] or anywhere in (one[1], other[1]))
    )


def _parse_weighted_terms(
    side: Spec, namespace: str, labels: Labels, sign: int
) -> Iterable[tuple[int, AffinityTerm]]:
    for each in side.get(_PREFERRED) or ():
        for term in _parse_terms([each.get("podAffinityTerm") or {}], namespace, labels):
            yield sign * int(each.get("weight") or 0), term


def _parse_spreads(spec: Spec, labels: Labels) -> Iterable[SpreadConstraint]:
    for each in spec.get("topologySpreadConstraints") or ():
        yield SpreadConstraint(
            key=each.get("topologyKey") or "",
            selector=_add_label_keys(each, labels),
            skew=int(each.get("maxSkew") or 1),
            domains=int(each.get("minDomains") or 1),
            soft=each.get("whenUnsatisfiable") == "ScheduleAnyway",
            honors_affinity=each.get("nodeAffinityPolicy") != "Ignore",
            honors_taints=each.get("nodeTaintsPolicy") == "Honor",
        )


def _add_label_keys(owner: Spec, labels: Labels) -> Selector:
    """Its label selector, with what `matchLabelKeys` take over from the pod's own labels."""
    selector: Selector = owner.get("labelSelector")
    extra = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for field_name, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in owner.get(field_name) or ()
        if key in labels
    ]
    if selector is None or not extra:
        return selector
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), *extra]}
