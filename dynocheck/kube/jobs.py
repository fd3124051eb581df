"""Runs a Job in a cluster: creates it, waits for its end, reads the logs of its pods, deletes it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any, TypeVar

from kubernetes.dynamic import DynamicClient, Resource

from dynocheck.facts import Unavailable
from dynocheck.kube.client import Cluster
from dynocheck.kube.errors import KubeError, StatusError, TimedOut, Unreachable
from dynocheck.kube.official_client import official_client

_EVERY_S = 2  # pods are looked at so often, though the Job does not change
_LEAST_S = 0.2  # changes that follow each other so soon are looked at together
_SILENT_S = 60.0  # for so long the API server, or a kubelet behind it, may be away
_HOPELESS = {"CreateContainerConfigError", "InvalidImageName", "ErrImageNeverPull"}  # no waiting mends them

T = TypeVar("T")
Notify = Callable[[str], None]
Manifest = Mapping[str, Any]


class JobRunner:
    """A Job, and a Service that it owns, in one namespace.

    :param say: is told what is created, and what is deleted or left.
    """

    def __init__(self, cluster: Cluster, job: Manifest, service: Manifest, say: Notify) -> None:
        # Their paths are known: discovery would take five requests, and leave a file in /tmp.
        client = DynamicClient(official_client(cluster), discoverer=lambda *_: None)
        known = {"client": client, "api_version": "v1", "namespaced": True}
        self._jobs = Resource(prefix="apis", group="batch", kind="Job", name="jobs", **known)
        self._services = Resource(prefix="api", kind="Service", name="services", **known)
        logs = {"log": {"kind": "Pod", "name": "pods/log", "namespaced": True}}
        self._pods = Resource(prefix="api", kind="Pod", name="pods", subresources=logs, **known)
        self._job, self._service, self._say = job, service, say
        self._name, self._namespace = job["metadata"]["name"], job["metadata"]["namespace"]

    @contextmanager
    def created(self) -> Iterator[None]:
        """Have both while the block lasts.

        :raises KubeError: one cannot be created.
        """
        job = self._create(self._jobs, self._job)
        try:
            owner = {"apiVersion": "batch/v1", "kind": "Job", "name": self._name, "uid": job.metadata.uid}
            metadata = {**self._service["metadata"], "ownerReferences": [owner]}
            self._create(self._services, {**self._service, "metadata": metadata})
            yield
        finally:
            self._delete(self._services, self._service)
            self._delete(self._jobs, self._job)

    def logs(self, longest_s: float, tell: Notify) -> str:
        """The logs of all pods, when the Job is complete.

        :param longest_s: seconds to wait for that.
        :param tell: is told, again and again, how far it is.
        :raises Unavailable: it fails, or does not end, or its logs cannot be had.
        """
        pods = self._wait(time.monotonic() + longest_s, tell)
        return "\n".join(self._log(pod) for pod in pods if pod.status.phase == "Succeeded")

    def _create(self, resource: Resource, manifest: Manifest) -> Any:
        try:
            made = resource.create(body=manifest, namespace=self._namespace)
        except StatusError as error:
            if error.status != 409:
                raise
            # Sent twice, for the connection broke under the first: its name is of this run alone.
            made = resource.get(name=manifest["metadata"]["name"], namespace=self._namespace)
        self._say(f"created {self._title(manifest)}")
        return made

    def _delete(self, resource: Resource, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        try:
            resource.delete(name=name, namespace=self._namespace, propagation_policy="Background")
            self._say(f"deleted {self._title(manifest)}")
        except KubeError as error:
            if not (isinstance(error, StatusError) and error.status == 404):
                command = f"kubectl -n {self._namespace} delete {manifest['kind'].lower()} {name}"
                self._say(f"left {self._title(manifest)}: {error}; {command}")

    def _title(self, manifest: Manifest) -> str:
        return f"{manifest['kind']} {self._namespace}/{manifest['metadata']['name']}"

    def _wait(self, deadline: float, tell: Notify) -> list[Any]:
        """The pods of the Job, when it is complete."""
        of_job = {"namespace": self._namespace, "label_selector": f"job-name={self._name}"}
        while True:
            job = _retry(lambda: self._jobs.get(name=self._name, namespace=self._namespace))
            pods = _retry(lambda: self._pods.get(**of_job).items)
            end = _end(job)
            if end is not None and end.type == "Complete":
                return list(pods)
            _raise_if_hopeless(end, pods, time.monotonic() > deadline)
            tell(_progress(pods))
            self._await_change(job)

    def _await_change(self, job: Any) -> None:
        """Return when the Job changes, or after a while. If the watch fails, the next request tells why."""
        until = time.monotonic() + _EVERY_S
        events = self._jobs.watch(
            name=self._name,
            namespace=self._namespace,
            resource_version=job.metadata.resourceVersion,
            timeout=_EVERY_S,
        )
        changed = None
        with suppress(Exception), closing(events):
            changed = next(events, None)
        time.sleep(_LEAST_S if changed else max(until - time.monotonic(), 0))

    def _log(self, pod: Any) -> str:
        (container,) = self._job["spec"]["template"]["spec"]["containers"]  # a mesh may have added another
        which = {"name": pod.metadata.name, "namespace": self._namespace, "serialize": False}
        query = ("container", container["name"])
        answer = _retry(lambda: self._pods.log.get(**which, query_params=[query]))
        return str(answer.data.decode(errors="replace"))


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


def _end(job: Any) -> Any:
    """The condition that says that it is complete or has failed, once it is."""
    found = [c for c in job.status.conditions or () if c.status == "True"]
    return next((c for c in found if c.type in ("Complete", "Failed")), None)


def _trouble(pod: Any) -> Any:
    """What a pod waits for or has failed of, with its reason and message; none while it is well."""
    for state in filter(None, (c.state for c in pod.status.containerStatuses or ())):
        if state.waiting and state.waiting.reason != "ContainerCreating":
            return state.waiting
        if state.terminated and state.terminated.exitCode:
            return state.terminated
    unmet = [c for c in pod.status.conditions or () if c.status == "False"]
    return next((c for c in unmet if c.type == "PodScheduled"), None)


def _describe(pod: Any) -> str:
    found = _trouble(pod)
    said = _reason(found) if found else pod.status.phase.lower()
    return f"{pod.metadata.name}: {said[:300]}"


def _reason(found: Any) -> str:
    return ": ".join(filter(None, (found.reason, found.message)))


def _raise_if_hopeless(end: Any, pods: list[Any], late: bool) -> None:
    """:raises Unavailable: there is nothing to wait for."""
    troubled = [pod for pod in pods if _trouble(pod)]
    hopeless = any(_trouble(pod).reason in _HOPELESS for pod in troubled)
    if end is None and not late and not hopeless:
        return
    why = f"the Job failed: {_reason(end)}" if end else "the Job does not come to its end"
    raise Unavailable("; ".join([why.rstrip(": "), *map(_describe, troubled[:3])]))


def _progress(pods: list[Any]) -> str:
    running = sum(pod.status.phase in ("Running", "Succeeded") for pod in pods)
    trouble = next((f", {_describe(pod)}" for pod in pods if _trouble(pod)), "")
    return f"{running} of {len(pods)} pods run{trouble}"
