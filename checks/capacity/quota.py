"""Check of a recipe's pods against the ResourceQuotas of the namespace."""

from collections.abc import Iterator
from fractions import Fraction

from dynocheck import Finding, Location, Result, Skip, Subject, check, fail, warn
from dynocheck.checks.capacity.scheduling import check_each_graph, is_own, report_unjudged
from dynocheck.facts import (
    Graph,
    NamespaceLimits,
    PodClasses,
    Quota,
    Recipe,
    Recipes,
    RunningPod,
    RunningPods,
)
from dynocheck.scheduling.graphs import list_component_pods, resolve_namespace
from dynocheck.scheduling.limits import charge, collect_defaults, is_counted
from dynocheck.scheduling.quantities import CPU, format_amount, parse_exact, scale_amount, sum_resources


@check("capacity.quota-fits", title="ResourceQuotas have room for the recipe")
def quota_fits(
    recipes: Recipes, limits: NamespaceLimits, running: RunningPods, classes: PodClasses | None
) -> Iterator[Result]:
    """A pod that exceeds a ResourceQuota is rejected at creation: it is not even Pending, and only the events
    of its owner say so.

    The pods of a graph are added up, with the defaults of LimitRanges, and without what running pods of the
    same graph already use. Several graphs of a recipe are alternatives. Claims and other objects are not
    counted. platform.quota and platform.limit-range check what a quota or LimitRange requires of each pod.

    Fix: kubectl describe quota -n NAMESPACE
    """
    if not limits.quotas:
        raise Skip(f"namespace {limits.namespace} has no ResourceQuota")
    yield from check_each_graph(
        recipes, lambda recipe, graph: _check_graph(limits, running, classes, recipe, graph)
    )


def _check_graph(
    limits: NamespaceLimits,
    running: RunningPods,
    classes: PodClasses | None,
    recipe: Recipe,
    graph: Graph,
) -> Iterator[Result]:
    namespace = resolve_namespace(recipe, graph, limits.namespace)
    location = Location(graph.file, graph.line, graph.column)
    if namespace != limits.namespace:
        yield warn(
            f"graph {graph.name} is for namespace {namespace}, whose quotas are not checked",
            fix=f"add -n {namespace}",
            location=location,
        )
        return
    defaults = collect_defaults(limits)
    listed = list_component_pods(recipe, graph, namespace, defaults, classes)
    groups = [group for group in listed if group.pods]
    known = [group for group in groups if group.shape is not None]
    own = [pod for pod in running if is_own(pod, graph, namespace)]
    for quota in limits.quotas:
        counted = [group for group in known if is_counted(quota, group.spec)]
        if counted:
            needs = sum_resources(
                {name: value * group.pods for name, value in charge(group.spec, defaults).items()}
                for group in counted
            )
            yield from _check_quota(quota, graph, needs, own, namespace)
    yield from report_unjudged(graph, [group for group in groups if group.shape is None])


def _check_quota(
    quota: Quota,
    graph: Graph,
    needs: dict[str, Fraction],
    own: list[RunningPod],
    namespace: str,
) -> Iterator[Finding]:
    subject = Subject("ResourceQuota", quota.name, namespace)
    fix = f"kubectl describe quota {quota.name} -n {namespace}"
    location = Location(graph.file, graph.line, graph.column)
    for resource, hard in quota.hard.items():
        need = needs.get(resource)
        if not need:
            continue
        if resource not in quota.used:
            yield warn(
                f"use of {resource} is not counted yet; until then the quota rejects every pod",
                fix=fix,
                subject=subject,
            )
            continue
        left = parse_exact(hard) - parse_exact(quota.used[resource]) + _sum_own_use(own, resource)
        if need > left:
            yield fail(
                f"graph {graph.name} needs {_format_quantity(resource, need)} {resource}; "
                f"{_format_quantity(resource, max(left, Fraction(0)))} of {hard} are left",
                fix=fix,
                evidence={"hard": hard, "used": quota.used[resource]},
                subject=subject,
                location=location,
            )


def _sum_own_use(own: list[RunningPod], resource: str) -> Fraction:
    """The use of a quota by running pods of the graph; their limits are taken to equal their requests."""
    if resource in ("pods", "count/pods"):
        return Fraction(len(own))
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return Fraction(sum(pod.requests.get(name, 0) for pod in own), 1000 if name == CPU else 1)


def _format_quantity(resource: str, value: Fraction) -> str:
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return format_amount(name, scale_amount(name, value))
