"""The fields of a pod spec that the scheduler uses, parsed."""

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

# The requests that scores assume for a container without requests: pkg/scheduler/util/pod_resources.go
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
        """Whether the term selects a pod with these labels in this namespace."""
        is_in_scope = self.every_namespace or namespace in self.namespaces
        if not is_in_scope and self.namespace_selector is not None:
            is_in_scope = matches(self.namespace_selector, {NAME_LABEL: namespace})
        return is_in_scope and matches(self.selector, labels)


class PodAffinityTerms(NamedTuple):
    """A pod's required affinity, required anti-affinity, and weighted preferences of either."""

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
    """A topology spread constraint; `soft` means ScheduleAnyway."""

    key: str
    selector: Selector
    skew: int = 1
    domains: int = 1
    soft: bool = False
    honors_affinity: bool = True
    honors_taints: bool = False

    def counts(self, labels: Labels) -> bool:
        """Whether a placed pod counts. In kube-scheduler none does for an empty selector."""
        return not is_empty(self.selector) and matches(self.selector, labels)


class Shape(msgspec.Struct, frozen=True):
    """A pod to schedule: its requests and its constraints on nodes and on other pods."""

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
    barred: Mapping[str, str] = {}  # nodes that cannot take it for another reason, and the reasons


def parse_shape(
    spec: Spec, namespace: str, labels: Labels | None = None, defaults: Defaults | None = None
) -> Shape:
    """Parse a pod spec.

    :param defaults: the `default` limits and `defaultRequest` of LimitRanges.
    :raises ValueError: a quantity cannot be parsed.
    """
    labels = labels or {}
    affinity = spec.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    required = node_affinity.get(_REQUIRED)
    requests = sum_pod_requests(spec, defaults=defaults)
    scored = sum_pod_requests(spec, defaults=defaults, assumed=_ASSUMED)
    pod_affinity = PodAffinityTerms.parse(affinity, namespace, labels)
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
            (int(entry.get("weight") or 0), entry.get("preference") or {})
            for entry in node_affinity.get(_PREFERRED) or ()
        ),
        affinity=pod_affinity.near,
        anti_affinity=pod_affinity.far,
        preferences=pod_affinity.preferences,
        tolerations=tuple(spec.get("tolerations") or ()),
        spread=tuple(_parse_spreads(spec, labels)),
        ports=tuple(list_host_ports(spec)),
        node_name=spec.get("nodeName") or "",
    )


def add_tolerations(shape: Shape) -> Shape:
    """The shape after the admission plugin ExtendedResourceToleration, which adds tolerations of taints that
    are named like the extended resources that the pod requests.
    """
    extended = [name for name in shape.requests if "/" in name and "kubernetes.io/" not in name]
    added = ({"key": name, "operator": "Exists", "effect": "NoSchedule"} for name in extended)
    return msgspec.structs.replace(shape, tolerations=(*shape.tolerations, *added))


def sum_pod_requests(
    spec: Spec, *, defaults: Defaults | None = None, assumed: Mapping[str, Fraction] | None = None
) -> Quantities:
    """The requests of a pod: the larger of running and starting containers, plus overhead.

    :param assumed: the requests that count for a container without its own.
    :raises ValueError: a quantity cannot be parsed.
    """
    return _sum_pod(spec, "requests", lambda c: {**(assumed or {}), **parse_resources(c, defaults)[0]})


def sum_pod_limits(spec: Spec, defaults: Defaults | None = None) -> Quantities:
    """The limits of a pod, added up like its requests.

    :raises ValueError: a quantity cannot be parsed.
    """
    return _sum_pod(spec, "limits", lambda container: parse_resources(container, defaults)[1])


def _sum_pod(spec: Spec, side: str, get_amounts: Callable[[Spec], Quantities]) -> Quantities:
    running = sum_resources(get_amounts(container) for container in spec.get("containers") or ())
    sidecars: Quantities = {}
    starting: Quantities = {}
    for container in spec.get("initContainers") or ():
        amounts = get_amounts(container)
        if container.get("restartPolicy") == "Always":
            running, sidecars = sum_resources((running, amounts)), sum_resources((sidecars, amounts))
            starting = merge_largest(starting, sidecars)
        else:
            starting = merge_largest(starting, sum_resources((sidecars, amounts)))
    pod_level = (spec.get("resources") or {}).get(side) or {}
    stated = {
        name: parse_exact(value)
        for name, value in pod_level.items()
        if name in _POD_LEVEL or name.startswith("hugepages-")
    }
    overhead = {name: parse_exact(value) for name, value in (spec.get("overhead") or {}).items()}
    return sum_resources(({**merge_largest(running, starting), **stated}, overhead))


def parse_resources(container: Spec, defaults: Defaults | None = None) -> tuple[Quantities, Quantities]:
    """A container's requests and limits. A missing request is the limit; then defaults fill in.

    :raises ValueError: a quantity cannot be parsed.
    """
    resources = container.get("resources") or {}
    limits = {name: parse_exact(v) for name, v in (resources.get("limits") or {}).items() if v is not None}
    stated = {name: parse_exact(v) for name, v in (resources.get("requests") or {}).items() if v is not None}
    requests = {**limits, **stated}
    if defaults:
        limits = {**defaults.get("default", {}), **limits}
        requests = {**defaults.get("defaultRequest", {}), **requests}
    return requests, limits


def _parse_terms(terms: Sequence[Spec] | None, namespace: str, labels: Labels) -> Iterable[AffinityTerm]:
    """Parse the affinity terms of a pod in this namespace with these labels."""
    for term in terms or ():
        selector = term.get("namespaceSelector")
        names = term.get("namespaces") or ([] if selector is not None else [namespace])
        yield AffinityTerm(
            key=term.get("topologyKey") or "",
            selector=_add_label_keys(term, labels),
            namespaces=frozenset(names),
            every_namespace=is_empty(selector),
            namespace_selector=selector,
        )


def needs_namespace_labels(terms: Iterable[AffinityTerm]) -> bool:
    """Whether a term selects namespaces by labels other than their built-in name label."""
    for term in terms:
        if term.namespace_selector is not None and not term.every_namespace:
            stated = term.namespace_selector.get("matchLabels") or {}
            keys = {e.get("key") for e in term.namespace_selector.get("matchExpressions") or ()}
            if {*stated, *keys} - {NAME_LABEL}:
                return True
    return False


def list_host_ports(spec: Spec) -> Iterable[Port]:
    """The host ports of a pod, as protocol, address and number."""
    on_host = bool(spec.get("hostNetwork"))
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if on_host else 0)
            if isinstance(number, int) and number > 0:
                yield port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", number  # noqa: S104


def ports_conflict(one: Port, other: Port) -> bool:
    """Whether two pods on one node cannot both use these host ports."""
    anywhere = "0.0.0.0"  # noqa: S104
    return (
        one[0] == other[0] and one[2] == other[2] and (one[1] == other[1] or anywhere in (one[1], other[1]))
    )


def _parse_weighted_terms(
    side: Spec, namespace: str, labels: Labels, sign: int
) -> Iterable[tuple[int, AffinityTerm]]:
    for preference in side.get(_PREFERRED) or ():
        for term in _parse_terms([preference.get("podAffinityTerm") or {}], namespace, labels):
            yield sign * int(preference.get("weight") or 0), term


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
    """The label selector of a term or constraint, extended by `matchLabelKeys` and the pod's labels."""
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
