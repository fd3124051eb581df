"""Whether the namespace's quotas and limit ranges let the recipe's pods in."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Recipes
from dynocheck.facts.capacity import Limit, NamespaceLimits, Quota
from dynocheck.facts.pods import PodTemplate, templates
from dynocheck.facts.quantity import quantity
from dynocheck.facts.recipe import Value

# What a quota on the key makes every container state.
_DEMANDS = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
_SIDES = ("requests", "limits")

Resources = dict[str, dict[str, str]]  # quantities by resource, of requests and of limits


@check("platform.quota", title="The pods of a recipe besides its graphs state what quotas count")
def quota(limits: NamespaceLimits, recipes: Recipes) -> Iterator[Finding]:
    """A namespace whose quota counts cpu or memory refuses pods of which a container does not state them,
    unless a LimitRange fills them in. Whether the quota has enough left is another question, and so are the
    pods of graphs, which the operator completes: capacity.quota-fits looks at both.

    Fix: state requests and limits for cpu and memory in every container, or add a LimitRange with defaults.
    """
    counted = {
        _DEMANDS[key]: each
        for each in limits.quotas
        if not (each.scopes or each.scope_selector)  # those count only some pods
        for key in each.hard
        if key in _DEMANDS
    }
    if not counted:
        raise Skip("no quota of the namespace counts cpu or memory of every pod")
    pods = [template for template in _pods(recipes) if not template.of_graph]
    if not pods:
        raise Skip("no pod besides those of graphs, which capacity.quota-fits looks at")
    for template in pods:
        for container in template.containers:
            states = _filled(_resources(template, container), limits)
            lacks = {need: each for need, each in counted.items() if need[1] not in states[need[0]]}
            if lacks:
                yield _unstated(template, container, lacks)


def _unstated(template: PodTemplate, container: Value, lacks: dict[tuple[str, str], Quota]) -> Finding:
    wants = ", ".join(f"{side}.{resource}" for side, resource in sorted(lacks))
    return fail(
        f"{template.owner}, container {_name(container)}, states no {wants}, "
        "which the quota makes pods state",
        fix="add it to the container's resources",
        subject=Subject("ResourceQuota", next(iter(lacks.values())).name),
        location=Location(template.manifest.file, container.line, container.column),
    )


@check("platform.limit-range", title="The namespace's limit ranges let the recipe's containers be")
def limit_range(limits: NamespaceLimits, recipes: Recipes) -> Iterator[Finding]:
    """A LimitRange refuses containers above its maximum or below its minimum, and gives those that state no
    limit its default: a default below the container's own request makes the pod invalid, and a small default
    of memory kills an engine that loads a model.

    Fix: kubectl edit limitrange NAME -n NAMESPACE
    """
    entries = _of_containers(limits)
    if not entries:
        raise Skip("no LimitRange of the namespace limits containers")
    for template in _pods(recipes):
        for container in template.containers:
            states = _resources(template, container)
            for entry in entries:
                where = (entry, template, container)
                yield from _outside(where, _filled(states, limits))
                yield from _defaulted(where, states)


def _of_containers(limits: NamespaceLimits) -> list[Limit]:
    return [entry for entry in limits.limits if entry.type == "Container"]


_Where = tuple[Limit, PodTemplate, Value]


def _outside(where: _Where, states: Resources) -> Iterator[Finding]:
    for resource, bound in where[0].max.items():
        for side in ("limits", "requests"):
            given = states[side].get(resource)
            if _less(bound, given):
                yield _finding(where, f"{side}.{resource} {given} is more than the {bound} it allows")
                break
    for resource, bound in where[0].min.items():
        given = states["requests"].get(resource)
        if _less(given, bound):
            yield _finding(where, f"requests.{resource} {given} is less than the {bound} it asks for")


def _defaulted(where: _Where, states: Resources) -> Iterator[Finding]:
    for resource, default in where[0].default.items():
        if resource in states["limits"]:
            continue
        given = states["requests"].get(resource)
        if _less(default, given):
            yield _finding(
                where, f"it gets limits.{resource} {default} by default, below its request of {given}"
            )
        elif resource == "memory" and given is None and _gpus(states):
            yield _finding(where, f"its engine gets a memory limit of {default} by default", sure=False)


def _finding(where: _Where, what: str, *, sure: bool = True) -> Finding:
    entry, template, container = where
    return (fail if sure else warn)(
        f"{template.owner}, container {_name(container)}: {what}",
        fix=f"kubectl edit limitrange {entry.range}",
        subject=Subject("LimitRange", entry.range),
        location=Location(template.manifest.file, container.line, container.column),
    )


def _pods(recipes: Recipes) -> Iterator[PodTemplate]:
    return (template for recipe in recipes for template in templates(recipe))


def _resources(template: PodTemplate, container: Value) -> Resources:
    """What a container states; one without a request for what it limits requests the limit."""
    holders = [container.get("resources")]
    if template.containers and container is template.containers[0]:
        holders.append(template.around.get("resources"))
    states: Resources = {
        side: {
            "nvidia.com/gpu" if resource == "gpu" else resource: str(amount.data)
            for holder in holders
            if holder is not None and (found := holder.get(side)) is not None
            for resource, amount in found.mapping.items()
            if isinstance(amount.data, (str, int, float))
        }
        for side in _SIDES
    }
    return {**states, "requests": {**states["limits"], **states["requests"]}}


def _filled(states: Resources, limits_of: NamespaceLimits) -> Resources:
    """The same with what limit ranges would fill in; a stored one has a default wherever it has a maximum."""
    entries = _of_containers(limits_of)
    limits = {resource: amount for entry in entries for resource, amount in entry.default.items()}
    requests = {resource: amount for entry in entries for resource, amount in entry.default_request.items()}
    return {
        "limits": {**limits, **states["limits"]},
        "requests": {**requests, **states["limits"], **states["requests"]},
    }


def _gpus(states: Resources) -> bool:
    return any(name.startswith("nvidia.com/") for name in states["limits"])


def _less(small: str | None, large: str | None) -> bool:
    one, other = quantity(small or ""), quantity(large or "")
    return one is not None and other is not None and one < other


def _name(container: Value) -> str:
    name = container.get("name")
    return (name.text if name else None) or "main"
