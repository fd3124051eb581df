"""Whether the namespace's rules for a single pod let the recipe's pods be made."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.capacity import Limit, NamespaceLimits
from dynocheck.facts.k8s.pods import PodTemplate, templates
from dynocheck.facts.recipe.recipes import Recipe
from dynocheck.scheduling.graphs import groups, shaped, stored
from dynocheck.scheduling.limits import (
    Violation,
    counts,
    defaults_of,
    demanded,
    undercut,
    unstated,
    violations,
)
from dynocheck.scheduling.pod_spec_model import Spec, container_resources


class _Pod(NamedTuple):
    """A pod to be, with its spec as it reaches the API server, or why that cannot be read."""

    template: PodTemplate
    spec: Spec
    problem: str

    def named(self, container: str | None) -> str:
        """What to call a container, or None the pod."""
        owner = self.template.owner
        return owner if container is None else f"{owner}, container {container or '?'}"

    def place(self, container: str | None = None) -> Location:
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
    counting = [each for each in limits.quotas if demanded(each)]
    if not counting:
        raise Skip("no quota of the namespace counts cpu or memory")
    defaults = defaults_of(limits)
    for pod in _pods(limits, recipes):
        if isinstance(pod, Finding):
            yield pod
            continue
        for each in (each for each in counting if counts(each, pod.spec)):
            for container, lacks in unstated(each, pod.spec, defaults).items():
                yield fail(
                    f"{pod.named(container)}, states no {', '.join(lacks)}, "
                    f"which quota {each.name} demands of every container",
                    fix="add it to the container's resources",
                    subject=Subject("ResourceQuota", each.name, limits.namespace),
                    location=pod.place(container),
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
    for pod in _pods(limits, recipes):
        if isinstance(pod, Finding):
            yield pod
        else:
            yield from _bounded(limits, pod)


def _bounded(limits: NamespaceLimits, pod: _Pod) -> Iterator[Finding]:
    defaults, told = defaults_of(limits), set()
    for limit in limits.limits:
        for violation in violations(limit, pod.spec, defaults):
            told.add((violation.container, violation.resource))
            yield _refused(limits, limit, pod, violation)
    for violation in undercut(pod.spec, defaults):
        if (violation.container, violation.resource) not in told:
            yield _refused(limits, _giver(limits, violation.resource), pod, violation)
    if "memory" in defaults["default"]:
        yield from _starved(limits, _giver(limits, "memory"), pod)


def _giver(limits: NamespaceLimits, resource: str) -> Limit:
    """Whose default limit containers get: the first."""
    return next(limit for limit in limits.limits if limit.type == "Container" and resource in limit.default)


def _refused(limits: NamespaceLimits, limit: Limit, pod: _Pod, violation: Violation) -> Finding:
    return fail(
        f"{pod.named(violation.container)}: {violation.text}",
        fix=_edit(limits, limit),
        subject=_subject(limits, limit),
        location=pod.place(violation.container),
    )


def _starved(limits: NamespaceLimits, limit: Limit, pod: _Pod) -> Iterator[Finding]:
    """Engines that state no memory."""
    for container in pod.spec.get("containers") or ():
        requests, most = container_resources(container)
        if "memory" not in requests and any(resource.startswith("nvidia.com/") for resource in most):
            name = container.get("name") or ""
            yield warn(
                f"{pod.named(name)}: its engine gets a memory limit of {limit.default['memory']} by default",
                fix=_edit(limits, limit),
                subject=_subject(limits, limit),
                location=pod.place(name),
            )


def _edit(limits: NamespaceLimits, limit: Limit) -> str:
    return f"kubectl edit limitrange {limit.range} -n {limits.namespace}"


def _subject(limits: NamespaceLimits, limit: Limit) -> Subject:
    return Subject("LimitRange", limit.range, limits.namespace)


def _pods(limits: NamespaceLimits, recipes: Recipes) -> Iterator[_Pod | Finding]:
    """The pods of the recipes that go to the namespace of the run, or that they cannot be read.

    :raises Skip: there are none.
    """
    found = [
        pod
        for recipe in recipes
        for pod in _of_recipe(recipe, limits.namespace)
        if pod.template.namespace in (None, limits.namespace)
    ]
    if not found:
        raise Skip(f"no pod of the recipe goes to namespace {limits.namespace}")
    for pod in found:
        yield (
            warn(f"{pod.named(None)}: not judged: {pod.problem}", location=pod.place())
            if pod.problem
            else pod
        )


def _of_recipe(recipe: Recipe, namespace: str) -> Iterator[_Pod]:
    made = {
        (graph.file, group.line, group.column): group
        for graph in recipe.graphs
        for group in groups(recipe, graph, namespace)
    }
    for template in templates(recipe):
        if not template.of_graph:
            spec = stored(template.spec.plain)
            yield _Pod(template, spec, shaped(spec, namespace)[1])
            continue
        around = template.around
        group = made.get((template.manifest.file, around.line, around.column))
        if group is not None and group.pods:
            yield _Pod(template, group.spec, "" if group.shape else group.unjudged)
