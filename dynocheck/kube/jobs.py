"""Runs a Job in a cluster: creates it, waits until it ends, reads its pods' logs and deletes it."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, suppress
from typing import Any, TypeVar

from kubernetes.dynamic import DynamicClient, Resource

from dynocheck.facts import Unavailable
from dynocheck.kube.client import Cluster
from dynocheck.kube.errors import KubeError, StatusError, TimedOut, Unreachable
from dynocheck.kube.job_pods import PodHistory, describe_condition, find_end
from dynocheck.kube.official_client import make_official_client
from dynocheck.kube.parallel import keep_for_block, shield
from dynocheck.secrets import clip

_POLL_S = 2  # between looks at the pods, even if the Job does not change
_DEBOUNCE_S = 0.2  # after a change of the Job, so that several changes cost one look
_OUTAGE_S = 60.0  # for which the API server, or a kubelet behind it, may be unreachable

T = TypeVar("T")
Manifest = Mapping[str, Any]


class JobRunner:
    """A Job, and a Service that it owns, in one namespace.

    :param notify: called with one line for each object that is created, deleted or left behind.
    """

    def __init__(
        self, cluster: Cluster, job: Manifest, service: Manifest, notify: Callable[[str], None]
    ) -> None:
        # The paths are known; discovery would take five requests and leave a file in /tmp.
        client = DynamicClient(make_official_client(cluster), discoverer=lambda *_: None)
        known = {"client": client, "api_version": "v1", "namespaced": True}
        self._jobs = Resource(prefix="apis", group="batch", kind="Job", name="jobs", **known)
        self._services = Resource(prefix="api", kind="Service", name="services", **known)
        logs = {"log": {"kind": "Pod", "name": "pods/log", "namespaced": True}}
        self._pods = Resource(prefix="api", kind="Pod", name="pods", subresources=logs, **known)
        self._job, self._service, self._notify = job, service, notify
        self._name, self._namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        self._sent: list[tuple[Resource, Manifest]] = []  # what the server may have created

    def create(self) -> AbstractContextManager[None]:
        """Create the Job and the Service, and delete them when the block ends.

        :raises KubeError: one of them cannot be created.
        """
        return keep_for_block(self._create_all, self._delete_all)

    def collect_logs(self, timeout_s: float, show_progress: Callable[[str], None]) -> str:
        """Wait until the Job is complete, and return the logs of all its pods.

        :param timeout_s: seconds to wait.
        :param show_progress: called repeatedly with the state of the pods.
        :raises Unavailable: the Job fails or does not end in time, or a log cannot be read.
        """
        pods = self._wait_until_complete(time.monotonic() + timeout_s, show_progress)
        return "\n".join(self._read_log(pod) for pod in pods if pod.status.phase == "Succeeded")

    def _create_all(self) -> None:
        job = self._create(self._jobs, self._job)
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": self._name, "uid": job.metadata.uid}
        metadata = {**self._service["metadata"], "ownerReferences": [owner]}
        self._create(self._services, {**self._service, "metadata": metadata})

    def _create(self, resource: Resource, manifest: Manifest) -> Any:
        self._sent.append((resource, manifest))
        try:
            made = resource.create(body=manifest, namespace=self._namespace)
        except StatusError as error:
            if not may_have_created(error):
                self._sent.pop()
            if error.status != 409:
                raise
            # The first attempt succeeded although its connection broke: names are unique to a run.
            made = resource.get(name=manifest["metadata"]["name"], namespace=self._namespace)
        self._notify(f"created {self._format_name(manifest)}")
        return made

    def _delete_all(self) -> None:
        for resource, manifest in reversed(self._sent):
            self._delete(resource, manifest)

    def _delete(self, resource: Resource, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        try:
            resource.delete(name=name, namespace=self._namespace, propagation_policy="Background")
            self._notify(f"deleted {self._format_name(manifest)}")
        except KubeError as error:
            if not (isinstance(error, StatusError) and error.status == 404):
                command = f"kubectl -n {self._namespace} delete {manifest['kind'].lower()} {name}"
                self._notify(f"left {self._format_name(manifest)}: {error}; {command}")

    def _format_name(self, manifest: Manifest) -> str:
        return f"{manifest['kind']} {self._namespace}/{manifest['metadata']['name']}"

    def _wait_until_complete(self, deadline: float, show_progress: Callable[[str], None]) -> list[Any]:
        """The pods of the complete Job."""
        selector = {"namespace": self._namespace, "label_selector": f"job-name={self._name}"}
        history = PodHistory()
        while True:
            job = retry(lambda: self._jobs.get(name=self._name, namespace=self._namespace))
            pods = retry(lambda: self._pods.get(**selector).items)
            history.look(pods)
            end = find_end(job)
            if end is not None and end.type == "Complete":
                return list(pods)
            if end is not None or history.is_stuck() or time.monotonic() > deadline:
                raise Unavailable(self._explain(end, history))
            show_progress(history.describe_progress())
            self._wait_for_change(job)

    def _explain(self, end: Any, history: PodHistory) -> str:
        """Why the Job failed, or did not finish, with the last words of a pod that failed."""
        why = f"the Job failed: {describe_condition(end)}" if end else "the Job did not finish"
        problems = history.list_problems()
        if not problems and end and end.reason == "BackoffLimitExceeded":
            problems = history.list_deleted()
        words = [self._read_last_words(pod) for pod in history.list_failed()[:1]]
        return "; ".join(filter(None, [why.rstrip(": "), *problems[:3], *words]))

    def _read_last_words(self, pod: Any) -> str:
        with suppress(KubeError):
            return clip(self._read_log(pod, ("tailLines", 1)).strip(), 300)
        return ""

    def _wait_for_change(self, job: Any) -> None:
        """Return when the Job changes, or after _POLL_S. If the watch fails, the next request says why."""
        until = time.monotonic() + _POLL_S
        events = self._jobs.watch(
            name=self._name,
            namespace=self._namespace,
            resource_version=job.metadata.resourceVersion,
            timeout=_POLL_S,
        )

        def wait() -> Any:
            with closing(events):
                return next(events, None)

        changed = None
        with suppress(Exception):
            changed = shield(wait)
        time.sleep(_DEBOUNCE_S if changed else max(until - time.monotonic(), 0))

    def _read_log(self, pod: Any, *options: tuple[str, int]) -> str:
        (container,) = self._job["spec"]["template"]["spec"]["containers"]  # the pod may have a sidecar too
        target = {"name": pod.metadata.name, "namespace": self._namespace, "serialize": False}
        query = [("container", container["name"]), *options]
        response = retry(lambda: self._pods.log.get(**target, query_params=query))
        return str(response.data.decode(errors="replace"))


def may_have_created(error: StatusError) -> bool:
    """Whether an object may exist whose creation ended so: its name is taken, or the server failed."""
    return error.status == 409 or error.status >= 500


def retry(request: Callable[[], T]) -> T:
    """Retry timeouts, connection errors and 5xx for _OUTAGE_S.

    :raises KubeError: another error, or the last one.
    """
    started = time.monotonic()
    while True:
        try:
            return shield(request)
        except KubeError as error:
            transient = isinstance(error, Unreachable | TimedOut) or (
                isinstance(error, StatusError) and error.status >= 500
            )
            if not transient or time.monotonic() - started > _OUTAGE_S:
                raise
        time.sleep(_POLL_S)
