"""Runs a Job in a cluster: makes it, waits for its end, reads what its pods said, takes it away again."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from dynocheck.facts import Access, Unavailable
from dynocheck.kube.client import Cluster
from dynocheck.kube.errors import KubeError, StatusError, TimedOut, Unreachable

RIGHTS = (
    Access("create", "jobs", "batch", local=True),
    Access("get", "jobs", "batch", local=True),
    Access("delete", "jobs", "batch", local=True),
    Access("create", "services", local=True),
    Access("delete", "services", local=True),
    Access("list", "pods", local=True),
    Access("get", "pods/log", local=True),
)
_EVERY_S = 1.0
_SILENT_S = 60.0  # for so long the API server, or a kubelet behind it, may be away
_HOPELESS = {"CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull"}  # no waiting mends them
_INDEX = "batch.kubernetes.io/job-completion-index"

T = TypeVar("T")
Notify = Callable[[str], None]


class _Meta(msgspec.Struct):
    name: str = ""
    uid: str = ""
    annotations: dict[str, str] | None = None


class _Created(msgspec.Struct):
    metadata: _Meta


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _JobStatus(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _Job(msgspec.Struct):
    status: _JobStatus = msgspec.field(default_factory=_JobStatus)

    @property
    def end(self) -> _Condition | None:
        """That it is complete or has failed, once it is."""
        found = [c for c in self.status.conditions or () if c.status == "True"]
        return next((c for c in found if c.type in ("Complete", "Failed")), None)


class _Cause(msgspec.Struct, rename="camel"):
    reason: str = ""
    message: str = ""
    exit_code: int = 0


class _State(msgspec.Struct):
    waiting: _Cause | None = None
    terminated: _Cause | None = None


class _Container(msgspec.Struct):
    state: _State = msgspec.field(default_factory=_State)


class _PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    conditions: list[_Condition] | None = None
    container_statuses: list[_Container] | None = None


class _Pod(msgspec.Struct):
    metadata: _Meta
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)

    @property
    def index(self) -> int:
        told = (self.metadata.annotations or {}).get(_INDEX, "")
        return int(told) if told.isdecimal() and len(told) < 9 else -1

    @property
    def trouble(self) -> _Cause | None:
        """What it waits for or has failed of; none while it is well."""
        for container in self.status.container_statuses or ():
            state = container.state
            if state.waiting and state.waiting.reason != "ContainerCreating":
                return state.waiting
            if state.terminated and state.terminated.exit_code:
                return state.terminated
        for condition in self.status.conditions or ():
            if condition.type == "PodScheduled" and condition.status == "False":
                return _Cause(condition.reason, condition.message)
        return None

    def __str__(self) -> str:
        found = self.trouble
        said = ": ".join(filter(None, (found.reason, found.message))) if found else self.status.phase.lower()
        return f"{self.metadata.name}: {said[:300]}"


@contextmanager
def create_job(
    cluster: Cluster, job: Mapping[str, Any], service: Mapping[str, Any], tell: Notify
) -> Iterator[None]:
    """Have a Job, and a Service that it owns, while the block lasts.

    :param tell: is told what is made, and what is left.
    :raises KubeError: one cannot be made.
    """
    owner = _create(cluster, job)
    tell(f"created {_format_name(job)}")
    try:
        reference = {"apiVersion": "batch/v1", "kind": "Job", "name": owner.name, "uid": owner.uid}
        _create(cluster, {**service, "metadata": {**service["metadata"], "ownerReferences": [reference]}})
        tell(f"created {_format_name(service)}")
        yield
    finally:
        for item in (service, job):
            _delete(cluster, item, tell)


def collect_logs(cluster: Cluster, job: Mapping[str, Any], longest_s: float, tell: Notify) -> str:
    """What all pods of a Job said, when it is complete.

    :param longest_s: seconds to wait for that.
    :param tell: is told, again and again, how far it is.
    :raises Unavailable: it fails, or does not end, or its logs cannot be had.
    """
    pods = _wait_for_end(cluster, job, time.monotonic() + longest_s, tell)
    by_index = sorted((pod for pod in pods if pod.status.phase == "Succeeded"), key=lambda pod: pod.index)
    return "\n".join(_read_log(cluster, job, pod) for pod in by_index)


def _read_log(cluster: Cluster, job: Mapping[str, Any], pod: _Pod) -> str:
    (container,) = job["spec"]["template"]["spec"]["containers"]  # a mesh may have added another
    path = f"{_make_pods_path(job)}/{pod.metadata.name}/log"
    return _retry(lambda: cluster.get_text(path, container=container["name"]))


def _wait_for_end(cluster: Cluster, job: Mapping[str, Any], deadline: float, tell: Notify) -> list[_Pod]:
    selector = f"job-name={job['metadata']['name']}"
    while True:
        found = _retry(lambda: cluster.get(_make_path(job), _Job))
        pods = _retry(lambda: cluster.items(_make_pods_path(job), _Pod, labelSelector=selector))
        if found.end is not None and found.end.type == "Complete":
            return pods
        _raise_if_hopeless(found.end, pods, time.monotonic() > deadline)
        tell(_describe_pods(pods))
        time.sleep(_EVERY_S)


def _retry(ask: Callable[[], T]) -> T:
    """:raises KubeError: there is no answer, and none after a while."""
    begun = time.monotonic()
    while True:
        try:
            return ask()
        except KubeError as error:
            passing = isinstance(error, Unreachable | TimedOut) or (
                isinstance(error, StatusError) and error.status >= 500
            )
            if not passing or time.monotonic() - begun > _SILENT_S:
                raise
        time.sleep(_EVERY_S)


def _raise_if_hopeless(end: _Condition | None, pods: list[_Pod], late: bool) -> None:
    """:raises Unavailable: there is nothing to wait for."""
    troubled = [pod for pod in pods if pod.trouble]
    hopeless = any(pod.trouble and pod.trouble.reason in _HOPELESS for pod in pods)
    if end is None and not late and not hopeless:
        return
    why = f"the Job failed: {end.reason}: {end.message}" if end else "the Job does not come to its end"
    raise Unavailable("; ".join([why.rstrip(": "), *map(str, troubled[:3])]))


def _describe_pods(pods: list[_Pod]) -> str:
    phases = [pod.status.phase for pod in pods]
    running = sum(phase in ("Running", "Succeeded") for phase in phases)
    trouble = next((f", {pod}" for pod in pods if pod.trouble), "")
    return f"{running} of {len(pods)} pods run{trouble}"


def _create(cluster: Cluster, item: Mapping[str, Any]) -> _Meta:
    try:
        return cluster.post(_make_path(item).rpartition("/")[0], item, _Created).metadata
    except StatusError as error:
        if error.status != 409:
            raise
        # Sent twice, for the connection broke under the first: its name is of this run alone.
        return cluster.get(_make_path(item), _Created).metadata


def _delete(cluster: Cluster, item: Mapping[str, Any], tell: Notify) -> None:
    try:
        cluster.delete(_make_path(item))
        tell(f"deleted {_format_name(item)}")
    except KubeError as error:
        if not (isinstance(error, StatusError) and error.status == 404):
            namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
            command = f"kubectl -n {namespace} delete {item['kind'].lower()} {name}"
            tell(f"left {_format_name(item)}: {error}; {command}")


def _format_name(item: Mapping[str, Any]) -> str:
    return f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"


def _make_path(item: Mapping[str, Any]) -> str:
    version = item["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = f"{item['kind'].lower()}s"
    return f"{root}/namespaces/{item['metadata']['namespace']}/{plural}/{item['metadata']['name']}"


def _make_pods_path(job: Mapping[str, Any]) -> str:
    return f"/api/v1/namespaces/{job['metadata']['namespace']}/pods"
