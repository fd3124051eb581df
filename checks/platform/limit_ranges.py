"""ResourceQuotas and LimitRanges of the namespace against each pod of the recipe."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import LimitRangeItem, NamespaceLimits, PodTemplate, Recipe, Recipes, list_pod_templates
from dynocheck.scheduling.graphs import drop_nulls, list_component_pods, try_parse_shape
from dynocheck.scheduling.limits import (
    LimitViolation,
    collect_defaults,
    find_undercut,
    find_unstated,
    find_violations,
    get_required_keys,
    is_counted,
)
from dynocheck.scheduling.pod_spec_model import Spec, parse_resources


class _PlannedPod(NamedTuple):
    """A pod of the recipe with its spec as the API server gets it, or why that is unreadable."""

    template: PodTemplate
    spec: Spec
    problem: str

    def describe(self, container: str | None) -> str:
        """The pod in words, or its container of this name."""
        owner = self.template.owner
        return owner if container is None else f"{owner}, container {container or '?'}"

    def locate(self, container: str | None = None) -> Location:
        """Where the container is declared, else the pod."""
        template = self.template
        own = template.around if template.of_graph else template.spec
        main = template.spec.get("mainContainer") if container == "main" else None
        named = (c for c in template.containers if (name := c.get("name")) and name.text == container)
        value = main or next(named, own)
        return Location(template.manifest.file, value.line, value.column)


@check("platform.quota", title="Containers set the resources that quotas count")
def quota(limits: NamespaceLimits, recipes: Recipes) -> Iterator[Finding]:
    """A namespace whose quota counts cpu or memory rejects pods with a container that does not set them,
    unless a LimitRange adds a default. capacity.quota-fits checks whether the quota has enough left.

    Fix: set requests and limits for cpu and memory in every container, or add a LimitRange with defaults.
    """
    counting = [quota for quota in limits.quotas if get_required_keys(quota)]
    if not counting:
        raise Skip("no quota of the namespace counts cpu or memory")
    defaults = collect_defaults(limits)
    for pod in _list_pods(limits, recipes):
        if isinstance(pod, Finding):
            yield pod
            continue
        for item in (item for item in counting if is_counted(item, pod.spec)):
            for container, unset in find_unstated(item, pod.spec, defaults).items():
                yield fail(
                    f"{pod.describe(container)} does not set {', '.join(unset)}, "
                    f"which quota {item.name} requires",
                    fix="add it to the container's resources",
                    subject=Subject("ResourceQuota", item.name, limits.namespace),
                    location=pod.locate(container),
                )


@check("platform.limit-range", title="LimitRanges admit the pods")
def limit_range(limits: NamespaceLimits, recipes: Recipes) -> Iterator[Finding]:
    """A LimitRange rejects pods and containers above its maximum or below its minimum, and sets its default
    limit on containers without one. A default below the container's own request makes the pod invalid, and a
    small memory default gets an engine killed while it loads a model.

    A rejected pod is not Pending but absent; only the events of its owner show why.

    Fix: kubectl edit limitrange NAME -n NAMESPACE
    """
    if not any(limit.type in ("Container", "Pod") for limit in limits.limits):
        raise Skip("no LimitRange of the namespace limits pods or containers")
    for pod in _list_pods(limits, recipes):
        if isinstance(pod, Finding):
            yield pod
        else:
            yield from _check_bounds(limits, pod)


def _check_bounds(limits: NamespaceLimits, pod: _PlannedPod) -> Iterator[Finding]:
    defaults, reported = collect_defaults(limits), set()
    for limit in limits.limits:
        for violation in find_violations(limit, pod.spec, defaults):
            reported.add((violation.container, violation.resource))
            yield _report_violation(limits, limit, pod, violation)
    for violation in find_undercut(pod.spec, defaults):
        if (violation.container, violation.resource) not in reported:
            yield _report_violation(limits, _find_default_limit(limits, violation.resource), pod, violation)
    if "memory" in defaults["default"]:
        yield from _check_engine_memory(limits, _find_default_limit(limits, "memory"), pod)


def _find_default_limit(limits: NamespaceLimits, resource: str) -> LimitRangeItem:
    """The LimitRange whose default limit applies: the first that has one."""
    return next(limit for limit in limits.limits if limit.type == "Container" and resource in limit.default)


def _report_violation(
    limits: NamespaceLimits, limit: LimitRangeItem, pod: _PlannedPod, violation: LimitViolation
) -> Finding:
    return fail(
        f"{pod.describe(violation.container)}: {violation.text}",
        fix=_suggest_edit(limits, limit),
        subject=_make_subject(limits, limit),
        location=pod.locate(violation.container),
    )


def _check_engine_memory(
    limits: NamespaceLimits, limit: LimitRangeItem, pod: _PlannedPod
) -> Iterator[Finding]:
    """Warn about GPU containers without a memory request, which get the default limit."""
    for container in pod.spec.get("containers") or ():
        requests, most = parse_resources(container)
        if "memory" not in requests and any(resource.startswith("nvidia.com/") for resource in most):
            name = container.get("name") or ""
            yield warn(
                f"{pod.describe(name)} gets the default memory limit of {limit.default['memory']}",
                fix=_suggest_edit(limits, limit),
                subject=_make_subject(limits, limit),
                location=pod.locate(name),
            )


def _suggest_edit(limits: NamespaceLimits, limit: LimitRangeItem) -> str:
    return f"kubectl edit limitrange {limit.range} -n {limits.namespace}"


def _make_subject(limits: NamespaceLimits, limit: LimitRangeItem) -> Subject:
    return Subject("LimitRange", limit.range, limits.namespace)


def _list_pods(limits: NamespaceLimits, recipes: Recipes) -> Iterator[_PlannedPod | Finding]:
    """Each pod of the recipes in the run's namespace, or a warning that its spec is unreadable.

    :raises Skip: there are none.
    """
    pods = [
        pod
        for recipe in recipes
        for pod in _plan_pods(recipe, limits.namespace)
        if pod.template.namespace in (None, limits.namespace)
    ]
    if not pods:
        raise Skip(f"no pod of the recipe is in namespace {limits.namespace}")
    for pod in pods:
        yield (
            warn(f"{pod.describe(None)}: not judged: {pod.problem}", location=pod.locate())
            if pod.problem
            else pod
        )


def _plan_pods(recipe: Recipe, namespace: str) -> Iterator[_PlannedPod]:
    groups = {
        (graph.file, group.line, group.column): group
        for graph in recipe.graphs
        for group in list_component_pods(recipe, graph, namespace)
    }
    for template in list_pod_templates(recipe):
        if not template.of_graph:
            spec = drop_nulls(template.spec.plain)
            yield _PlannedPod(template, spec, try_parse_shape(spec, namespace)[1])
            continue
        around = template.around
        group = groups.get((template.manifest.file, around.line, around.column))
        if group is not None and group.pods:
            yield _PlannedPod(template, group.spec, "" if group.shape else group.unjudged)
