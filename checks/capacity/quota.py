"""Whether the namespace has room for a recipe's pods."""

from collections.abc import Iterator
from fractions import Fraction

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.checks.capacity.scheduling import is_own, not_judged, of_each_graph
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.capacity import NamespaceLimits, Quota, RunningPod, RunningPods
from dynocheck.facts.recipe.recipes import Graph, Recipe
from dynocheck.scheduling.graphs import Group, groups, namespace_of
from dynocheck.scheduling.limits import charge, counts, defaults_of
from dynocheck.scheduling.pod_spec_model import Defaults
from dynocheck.scheduling.quantities import CPU, amount, exactly, shown, total


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
    yield from of_each_graph(recipes, lambda recipe, graph: _refused(limits, running, recipe, graph))


def _refused(
    limits: NamespaceLimits, running: RunningPods, recipe: Recipe, graph: Graph
) -> Iterator[Finding]:
    place = namespace_of(recipe, graph, limits.namespace)
    location = Location(graph.file, graph.line, graph.column)
    if place != limits.namespace:
        yield warn(
            f"graph {graph.name} goes to namespace {place}, whose quotas were not looked at",
            fix=f"add -n {place}",
            location=location,
        )
        return
    defaults = defaults_of(limits)
    found = [group for group in groups(recipe, graph, place, defaults) if group.pods]
    judged = [group for group in found if group.shape is not None]
    own = [pod for pod in running if is_own(pod, graph, place)]
    for quota in limits.quotas:
        counted = [group for group in judged if counts(quota, group.spec)]
        if counted:
            yield from _over(quota, graph, counted, own, place, defaults)
    yield from not_judged(graph, [group for group in found if group.shape is None])


def _over(
    quota: Quota, graph: Graph, counted: list[Group], own: list[RunningPod], place: str, defaults: Defaults
) -> Iterator[Finding]:
    subject = Subject("ResourceQuota", quota.name, place)
    fix = f"kubectl describe quota {quota.name} -n {place}"
    needs = total(
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
        left = exactly(hard) - exactly(quota.used[resource]) + _own_use(own, resource)
        if need > left:
            yield fail(
                f"graph {graph.name} needs {_plain(resource, need)} {resource}, "
                f"{_plain(resource, max(left, Fraction(0)))} of {hard} are left",
                fix=fix,
                evidence={"hard": hard, "used": quota.used[resource]},
                subject=subject,
                location=location,
            )


def _own_use(own: list[RunningPod], resource: str) -> Fraction:
    """What pods of the graph that run already take of a quota, their limits taken as their requests."""
    if resource in ("pods", "count/pods"):
        return Fraction(len(own))
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return Fraction(sum(pod.requests.get(name, 0) for pod in own), 1000 if name == CPU else 1)


def _plain(resource: str, value: Fraction) -> str:
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return shown(name, amount(name, value))
