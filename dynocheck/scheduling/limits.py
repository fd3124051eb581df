"""LimitRanges and ResourceQuotas of a namespace, as the API server's admission applies them to pods."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from dynocheck.facts import LimitRangeItem, NamespaceLimits, Quota
from dynocheck.scheduling.pod_spec_model import (
    Defaults,
    Quantities,
    Spec,
    parse_resources,
    sum_pod_limits,
    sum_pod_requests,
)
from dynocheck.scheduling.quantities import CPU, MEMORY, STORAGE, format_amount, parse_exact, scale_amount

_COMPUTE = {f"{side}{resource}" for side in ("", "requests.", "limits.") for resource in (CPU, MEMORY)}
_BOTH = (CPU, MEMORY, STORAGE)


def collect_defaults(limits: NamespaceLimits) -> dict[str, dict[str, Fraction]]:
    """The default limits and requests of containers; the first LimitRange with a default wins."""
    defaults: dict[str, dict[str, Fraction]] = {"default": {}, "defaultRequest": {}}
    for limit in limits.limits:
        if limit.type == "Container":
            for name, values in (("default", limit.default), ("defaultRequest", limit.default_request)):
                for resource, value in values.items():
                    defaults[name].setdefault(resource, parse_exact(value))
    return defaults


def charge(spec: Spec, defaults: Defaults | None) -> Quantities:
    """The amount of each resource that a quota counts for one pod."""
    charged = _charge_resources(sum_pod_requests(spec, defaults=defaults), sum_pod_limits(spec, defaults))
    return {**charged, "pods": Fraction(1), "count/pods": Fraction(1)}


def _charge_resources(requests: Mapping[str, Fraction], limits: Mapping[str, Fraction]) -> Quantities:
    charged: Quantities = {}
    for resource, value in requests.items():
        charged[f"requests.{resource}"] = value
        if resource in _BOTH or resource.startswith("hugepages-"):
            charged[resource] = value
    charged.update({f"limits.{r}": value for r, value in limits.items() if r in _BOTH})
    return charged


def is_counted(quota: Quota, spec: Spec) -> bool:
    """Whether a quota counts a pod, which must be in all of its scopes."""
    wanted = [{"scopeName": scope, "operator": "Exists"} for scope in quota.scopes]
    return all(_is_in_scope(scope, spec) for scope in (*wanted, *quota.scope_selector))


def _is_in_scope(scope: Mapping[str, object], spec: Spec) -> bool:
    ends = spec.get("activeDeadlineSeconds") is not None
    match scope.get("scopeName"):
        case "Terminating":
            return ends
        case "NotTerminating":
            return not ends
        case "BestEffort":
            return _is_best_effort(spec)
        case "NotBestEffort":
            return not _is_best_effort(spec)
        case "PriorityClass":
            return _matches_class(scope, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _selects_other_namespaces(spec)
    return False


def _matches_class(scope: Mapping[str, object], name: str) -> bool:
    values = scope.get("values") or ()
    match scope.get("operator"):
        case "Exists":
            return bool(name)
        case "DoesNotExist":
            return not name
        case "In":
            return bool(name) and name in values  # type: ignore[operator]
        case "NotIn":
            return name not in values  # type: ignore[operator]
    return False


def _is_best_effort(spec: Spec) -> bool:
    resources = [parse_resources(container) for container in _list_containers(spec)]
    return not any(
        value for pair in resources for side in pair for r, value in side.items() if r in _BOTH[:2]
    )


def _selects_other_namespaces(spec: Spec) -> bool:
    affinity = spec.get("affinity") or {}
    for side in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(side) or {}
        required = terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        for term in (*required, *(entry.get("podAffinityTerm") or {} for entry in preferred)):
            if term.get("namespaces") or term.get("namespaceSelector") is not None:
                return True
    return False


def get_required_keys(quota: Quota) -> set[str]:
    """The keys of a quota that every container must then state."""
    return _COMPUTE & quota.hard.keys()


def find_unstated(quota: Quota, spec: Spec, defaults: Defaults | None) -> dict[str, list[str]]:
    """By container, the keys that a quota requires and the container does not state."""
    pod_resources = spec.get("resources") or {}
    if pod_resources.get("requests") or pod_resources.get("limits"):
        return {}
    missing = {}
    for container in _list_containers(spec):
        stated = _charge_resources(*parse_resources(container, defaults))
        missing[_get_name(container)] = sorted(get_required_keys(quota) - stated.keys())
    return {name: keys for name, keys in missing.items() if keys}


class LimitViolation(NamedTuple):
    """A bound of a LimitRange that a container, or with None the whole pod, violates."""

    container: str | None
    resource: str
    text: str


def find_violations(limit: LimitRangeItem, spec: Spec, defaults: Defaults | None) -> Iterator[LimitViolation]:
    """The bounds of a LimitRange that a pod violates."""
    if limit.type == "Container":
        for container in _list_containers(spec):
            resources = parse_resources(container, defaults)
            for resource, text in _compare_bounds(limit, *resources):
                yield LimitViolation(_get_name(container), resource, text)
    elif limit.type == "Pod":
        whole = sum_pod_requests(spec, defaults=defaults), sum_pod_limits(spec, defaults)
        for resource, text in _compare_bounds(limit, *whole):
            yield LimitViolation(None, resource, text)


def find_undercut(spec: Spec, defaults: Defaults) -> Iterator[LimitViolation]:
    """The containers whose default limit is below their own request, which the API server rejects."""
    for container in _list_containers(spec):
        requests, limits = parse_resources(container)
        for resource, default in defaults["default"].items():
            request = requests.get(resource)
            if resource not in limits and request is not None and default < request:
                limit = _format_quantity(resource, default)
                text = f"gets a default limit of {limit} {resource}, below its request of"
                yield LimitViolation(
                    _get_name(container), resource, f"{text} {_format_quantity(resource, request)}"
                )


def _list_containers(spec: Spec) -> Iterator[Spec]:
    yield from spec.get("containers") or ()
    yield from spec.get("initContainers") or ()


def _get_name(container: Spec) -> str:
    name = container.get("name")
    return name if isinstance(name, str) else ""


def _compare_bounds(
    limit: LimitRangeItem, requests: Mapping[str, Fraction], limits: Mapping[str, Fraction]
) -> Iterator[tuple[str, str]]:
    """Each violated bound, as its resource and a text."""
    for resource, bound in limit.min.items():
        if resource not in requests:
            yield resource, f"states no {resource}; the minimum is {bound}"
        elif (least := min(requests[resource], limits.get(resource, requests[resource]))) < parse_exact(
            bound
        ):
            amount = _format_quantity(resource, least)
            yield resource, f"has {amount} {resource}, less than the minimum {bound}"
    for resource, bound in limit.max.items():
        if resource not in limits:
            yield resource, f"states no limit of {resource}; the maximum is {bound}"
        elif (most := max(limits[resource], requests.get(resource, limits[resource]))) > parse_exact(bound):
            amount = _format_quantity(resource, most)
            yield resource, f"has {amount} {resource}, more than the maximum {bound}"
    for resource, bound in limit.ratio.items():
        request, limited = requests.get(resource), limits.get(resource)
        if not request or not limited or limited / request > parse_exact(bound):
            yield resource, f"has a limit of {resource} over {bound} times its request, or lacks either"


def _format_quantity(resource: str, value: Fraction) -> str:
    return format_amount(resource, scale_amount(resource, value))
