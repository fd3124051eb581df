"""Whether the namespace has room for a recipe's pods."""

from collections.abc import Iterator
from fractions import Fraction

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.capacity.scheduling import check_each_graph, is_own, warn_unjudged
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.capacity import NamespaceLimits, Quota, RunningPod, RunningPods
from dynocheck.facts.recipe.recipes import Graph, Recipe
from dynocheck.scheduling.graphs import ComponentPods, list_component_pods, resolve_namespace
from dynocheck.scheduling.limits import charge, collect_defaults, is_counted
from dynocheck.scheduling.pod_spec_model import Defaults
from dynocheck.scheduling.quantities import CPU, format_amount, parse_exact, scale_amount, sum_resources


@check("capacity.quota-fits", title="The namespace's quotas have room for the recipe")
def quota_fits(recipes: Recipes, limits: NamespaceLimits, running: RunningPods) -> Iterator[Finding]:
    """A pod over a ResourceQuota is refused when it is made: no pod is Pending, there is none, and only the
    events of its owner say so.

    All pods of a graph are added up, after LimitRanges gave their defaults. What pods of the same graph use
    already is not counted twice. Several graphs of a recipe are alternatives. Claims and other objects are
    not looked at. What a quota or a LimitRange makes each pod state is told by platform.quota and
    platform.limit-range.

    Fix: kubectl describe quota -n NAMESPACE
    """
    if not limits.quotas:
        raise Skip(f"namespace {limits.namespace} has no ResourceQuota")
    yield from check_each_graph(recipes, lambda recipe, graph: _check_graph(limits, running, recipe, graph))


def _check_graph(
    limits: NamespaceLimits, running: RunningPods, recipe: Recipe, graph: Graph
) -> Iterator[Finding]:
    place = resolve_namespace(recipe, graph, limits.namespace)
    location = Location(graph.file, graph.line, graph.column)
    if place != limits.namespace:
        yield warn(
            f"graph {graph.name} goes to namespace {place}, whose quotas were not looked at",
            fix=f"add -n {place}",
            location=location,
        )
        return
    defaults = collect_defaults(limits)
    found = [group for group in list_component_pods(recipe, graph, place, defaults) if group.pods]
    judged = [group for group in found if group.shape is not None]
    own = [pod for pod in running if is_own(pod, graph, place)]
    for quota in limits.quotas:
        counted = [group for group in judged if is_counted(quota, group.spec)]
        if counted:
            yield from _check_quota(quota, graph, counted, own, place, defaults)
    yield from warn_unjudged(graph, [group for group in found if group.shape is None])


def _check_quota(
    quota: Quota,
    graph: Graph,
    counted: list[ComponentPods],
    own: list[RunningPod],
    place: str,
    defaults: Defaults,
) -> Iterator[Finding]:
    subject = Subject("ResourceQuota", quota.name, place)
    fix = f"kubectl describe quota {quota.name} -n {place}"
    needs = sum_resources(
        {name: value * group.pods for name, value in charge(group.spec, defaults).items()}
        for group in counted
    )
    location = Location(graph.file, graph.line, graph.column)
    for resource, hard in quota.hard.items():
        need = needs.get(resource)
        if not need:
            continue
        if resource not in quota.used:
            yield warn(
                f"what is used of {resource} is not counted yet: the quota refuses everything until it is",
                fix=fix,
                subject=subject,
            )
            continue
        left = parse_exact(hard) - parse_exact(quota.used[resource]) + _sum_own_use(own, resource)
        if need > left:
            yield fail(
                f"graph {graph.name} needs {_format_quantity(resource, need)} {resource}, "
                f"{_format_quantity(resource, max(left, Fraction(0)))} of {hard} are left",
                fix=fix,
                evidence={"hard": hard, "used": quota.used[resource]},
                subject=subject,
                location=location,
            )


def _sum_own_use(own: list[RunningPod], resource: str) -> Fraction:
    """What pods of the graph that run already take of a quota, their limits taken as their requests."""
    if resource in ("pods", "count/pods"):
        return Fraction(len(own))
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return Fraction(sum(pod.requests.get(name, 0) for pod in own), 1000 if name == CPU else 1)


def _format_quantity(resource: str, value: Fraction) -> str:
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return format_amount(name, scale_amount(name, value))
