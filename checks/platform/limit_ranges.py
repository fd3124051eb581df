"""Whether the namespace's rules for a single pod let the recipe's pods be made."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.capacity import LimitRangeItem, NamespaceLimits
from dynocheck.facts.k8s.pods import PodTemplate, list_pod_templates
from dynocheck.facts.recipe.recipes import Recipe
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
    """A pod to be, with its spec as it reaches the API server, or why that cannot be read."""

    template: PodTemplate
    spec: Spec
    problem: str

    def describe(self, container: str | None) -> str:
        """What to call a container, or None the pod."""
        owner = self.template.owner
        return owner if container is None else f"{owner}, container {container or '?'}"

    def locate(self, container: str | None = None) -> Location:
        """Where a container is declared, else the pod."""
        template = self.template
        own = template.around if template.of_graph else template.spec
        main = template.spec.get("mainContainer") if container == "main" else None
        named = (c for c in template.containers if (name := c.get("name")) and name.text == container)
        found = main or next(named, own)
        return Location(template.manifest.file, found.line, found.column)


@check("platform.quota", title="The recipe's pods state what quotas count")
def quota(limits: NamespaceLimits, recipes: Recipes) -> Iterator[Finding]:
    """A namespace whose quota counts cpu or memory refuses pods of which a container does not state them,
    unless a LimitRange fills them in. Whether the quota has enough left is another question:
    capacity.quota-fits answers it.

    Fix: state requests and limits for cpu and memory in every container, or add a LimitRange with defaults.
    """
    counting = [each for each in limits.quotas if get_required_keys(each)]
    if not counting:
        raise Skip("no quota of the namespace counts cpu or memory")
    defaults = collect_defaults(limits)
    for pod in _list_pods(limits, recipes):
        if isinstance(pod, Finding):
            yield pod
            continue
        for each in (each for each in counting if is_counted(each, pod.spec)):
            for container, lacks in find_unstated(each, pod.spec, defaults).items():
                yield fail(
                    f"{pod.describe(container)}, states no {', '.join(lacks)}, "
                    f"which quota {each.name} demands of every container",
                    fix="add it to the container's resources",
                    subject=Subject("ResourceQuota", each.name, limits.namespace),
                    location=pod.locate(container),
                )


@check("platform.limit-range", title="The namespace's limit ranges let the recipe's pods be")
def limit_range(limits: NamespaceLimits, recipes: Recipes) -> Iterator[Finding]:
    """A LimitRange refuses pods and containers above its maximum or below its minimum, and gives containers
    that state no limit its default: a default below the container's own request makes the pod invalid, and a
    small default of memory kills an engine that loads a model.

    A pod that is refused is not Pending: there is none, and only the events of its owner say so.

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
    defaults, told = collect_defaults(limits), set()
    for limit in limits.limits:
        for violation in find_violations(limit, pod.spec, defaults):
            told.add((violation.container, violation.resource))
            yield _report_violation(limits, limit, pod, violation)
    for violation in find_undercut(pod.spec, defaults):
        if (violation.container, violation.resource) not in told:
            yield _report_violation(limits, _find_default_limit(limits, violation.resource), pod, violation)
    if "memory" in defaults["default"]:
        yield from _check_engine_memory(limits, _find_default_limit(limits, "memory"), pod)


def _find_default_limit(limits: NamespaceLimits, resource: str) -> LimitRangeItem:
    """Whose default limit containers get: the first."""
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
    """Engines that state no memory."""
    for container in pod.spec.get("containers") or ():
        requests, most = parse_resources(container)
        if "memory" not in requests and any(resource.startswith("nvidia.com/") for resource in most):
            name = container.get("name") or ""
            yield warn(
                f"{pod.describe(name)}: its engine gets a memory limit of {limit.default['memory']} "
                "by default",
                fix=_suggest_edit(limits, limit),
                subject=_make_subject(limits, limit),
                location=pod.locate(name),
            )


def _suggest_edit(limits: NamespaceLimits, limit: LimitRangeItem) -> str:
    return f"kubectl edit limitrange {limit.range} -n {limits.namespace}"


def _make_subject(limits: NamespaceLimits, limit: LimitRangeItem) -> Subject:
    return Subject("LimitRange", limit.range, limits.namespace)


def _list_pods(limits: NamespaceLimits, recipes: Recipes) -> Iterator[_PlannedPod | Finding]:
    """The pods of the recipes that go to the namespace of the run, or that they cannot be read.

    :raises Skip: there are none.
    """
    found = [
        pod
        for recipe in recipes
        for pod in _plan_pods(recipe, limits.namespace)
        if pod.template.namespace in (None, limits.namespace)
    ]
    if not found:
        raise Skip(f"no pod of the recipe goes to namespace {limits.namespace}")
    for pod in found:
        yield (
            warn(f"{pod.describe(None)}: not judged: {pod.problem}", location=pod.locate())
            if pod.problem
            else pod
        )


def _plan_pods(recipe: Recipe, namespace: str) -> Iterator[_PlannedPod]:
    made = {
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
        group = made.get((template.manifest.file, around.line, around.column))
        if group is not None and group.pods:
            yield _PlannedPod(template, group.spec, "" if group.shape else group.unjudged)
