"""Counts the pods and GPUs of the groups in which workloads without Dynamo run an engine."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dynocheck.facts import Manifest, PodTemplate, Value
from dynocheck.recipe.resources import count_gpus, read_integer
from dynocheck.recipe.volumes import read_sidecars

_LWS = "spec.leaderWorkerTemplate"
_FLEETS = ("RayClusterFleet", "RayClusterReplicaSet")  # of AIBrix: the spec of a RayCluster in a template
_Member = tuple[PodTemplate, int | None]


class PodGroup(NamedTuple):
    """The pods with GPUs that work for one engine; `gpus`, of each of them, are None if unknown."""

    pods: int
    gpus: int | None


def measure_group(
    template: PodTemplate, siblings: Sequence[PodTemplate], starts: Callable[[PodTemplate], bool]
) -> PodGroup:
    """The pods that work for the engine of one template.

    :param siblings: every template of its manifest.
    :param starts: whether a template starts an engine; one that does not works for those that do.
    """
    own = count_pod_gpus(template)
    of_ray = is_of_ray(template.manifest)
    if template.manifest.group == "ome.io":
        return PodGroup(1, None if template.path.endswith((".leader", ".worker")) else own)
    if template.partial and not of_ray:
        alone = all(map(starts, siblings))  # otherwise the rest may work for this engine
        return PodGroup(1, (own or None) if alone else None)
    if template.manifest.kind == "LeaderWorkerSet":
        members = list(_list_workers(template, siblings))
    elif of_ray:
        members = list(_list_ray_pods(template, siblings))
    else:
        return PodGroup(1, own)
    if any(starts(other) for other, _ in members if other is not template):
        return PodGroup(1, own)
    return _sum_up(members)


def is_of_ray(manifest: Manifest) -> bool:
    """Whether Ray's operator makes the pods of an object."""
    return manifest.group == "ray.io" or manifest.kind in _FLEETS


def _sum_up(members: Sequence[_Member]) -> PodGroup:
    counts: dict[int | None, int] = {}
    for template, pods in members:
        if pods is None:
            return PodGroup(1, None)
        gpus = count_pod_gpus(template)
        counts[gpus] = counts.get(gpus, 0) + pods
    with_gpus = [(pods, gpus) for gpus, pods in counts.items() if gpus != 0 and pods]
    if len(with_gpus) > 1:
        return PodGroup(1, None)
    return PodGroup(*with_gpus[0]) if with_gpus else PodGroup(1, 0)


def count_pod_gpus(template: PodTemplate) -> int | None:
    """The GPUs of one pod; None if unknown."""
    sources = [*template.spec.get_items("containers"), *read_sidecars(template.spec)]
    claims = template.spec.get_items("resourceClaims")
    return count_gpus([[each.get("resources")] for each in sources], claims)


def _list_workers(template: PodTemplate, siblings: Sequence[PodTemplate]) -> Iterator[_Member]:
    """The pods of a LeaderWorkerSet's group. Where all are of one template, what each starts is unknown."""
    size = _read_count(template.manifest.root.get(*_LWS.split("."), "size"), 1)
    leaders = [each for each in siblings if each.path.startswith(f"{_LWS}.leaderTemplate")]
    workers = [each for each in siblings if each not in leaders]
    yield from ((each, 1) for each in leaders)
    for each in workers:
        yield each, None if size is None or (not leaders and size > 1) else size - len(leaders)


def _list_ray_pods(template: PodTemplate, siblings: Sequence[PodTemplate]) -> Iterator[_Member]:
    """The pods of a Ray cluster. One that scales by itself, or that says what its pods offer, is unknown."""
    spec = next(template.manifest.root.get("spec").find_all("workerGroupSpecs"), None)  # type: ignore[union-attr]
    scales = any(template.manifest.root.find_all("enableInTreeAutoscaling"))
    offers = any(template.manifest.root.find_all("num-gpus"))
    yield from ((each, None if offers else 1) for each in siblings if ".headGroupSpec." in each.path)
    for group in spec.sequence if spec is not None else ():
        pods, hosts = _read_count(group.get("replicas"), None), _read_count(group.get("numOfHosts"), 1)
        count = None if scales or offers or pods is None or hosts is None else pods * hosts
        yield from ((each, count) for each in siblings if group.get("template", "spec") is each.spec)


def list_group_variables(manifest: Manifest) -> list[Value]:
    """The variables that a LeaderWorkerSet sets in its pods; those that differ between these are unknown."""
    if manifest.kind != "LeaderWorkerSet":
        return []
    size = manifest.root.get(*_LWS.split("."), "size")
    values = {"LWS_GROUP_SIZE": {"value": Value(str(size.data) if size is not None else "1", 1, 1)}}
    values |= {name: {"valueFrom": Value({}, 1, 1)} for name in ("LWS_LEADER_ADDRESS", "LWS_WORKER_INDEX")}
    return [Value({"name": Value(name, 1, 1)} | value, 1, 1) for name, value in values.items()]


def join_ray_command(source: Value) -> Value:
    """The first container of a Ray pod as the operator runs it: its words are one script of bash."""
    words = [*source.get_items("command"), *source.get_items("args")]
    if not words or not isinstance(source.data, dict):
        return source
    place = words[0].line, words[0].column
    script = [*(Value(text, *place) for text in ("/bin/bash", "-c"))]
    script.append(Value(" ".join(word.text or "" for word in words), *place))
    rest = {key: value for key, value in source.data.items() if key not in ("command", "args")}
    return Value(rest | {"command": Value(script, *place)}, source.line, source.column)


def _read_count(value: Value | None, default: int | None) -> int | None:
    """A number of pods; None if it is something else."""
    number = read_integer(value, -1) if value is not None else default
    return number if number is None or number >= 0 else None
