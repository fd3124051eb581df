"""Runs a DaemonSet in a cluster: creates it, reads what its pods write, and deletes it."""

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from kubernetes.dynamic import DynamicClient, Resource

from dynocheck.kube.client import Cluster
from dynocheck.kube.errors import Forbidden, KubeError, StatusError
from dynocheck.kube.job_pods import describe_condition, describe_problem
from dynocheck.kube.jobs import Manifest, may_have_created, retry
from dynocheck.kube.official_client import make_official_client
from dynocheck.kube.parallel import keep_for_block, shield

_NAME = "app.kubernetes.io/name"
_OWNER = "dynocheck.dev/created-by"
_POLL_S = 1.0
_STANDING_S = 10.0  # after which a problem is taken to last
_NO_SCHEDULE = ("NoSchedule", "NoExecute")
# Taints that the controller lets the pods of every DaemonSet tolerate.
_TOLERATED = {
    f"node.kubernetes.io/{each}"
    for each in (
        "disk-pressure",
        "memory-pressure",
        "not-ready",
        "pid-pressure",
        "unreachable",
        "unschedulable",
    )
}


@dataclass(frozen=True)
class Silence:
    """Why the pod of a node wrote nothing. `lasting`: waiting does not help."""

    reason: str
    fix: str | None = None
    lasting: bool = True


class DaemonSetRunner:
    """A DaemonSet and what it needs, all of which goes with the first of the objects.

    :param objects: manifests in the order of their creation, the DaemonSet last.
    :param notify: called with one line for each object that is created, deleted or left behind, and for each
        change on a node.
    """

    def __init__(self, cluster: Cluster, objects: Sequence[Manifest], notify: Callable[[str], None]) -> None:
        client = DynamicClient(make_official_client(cluster), discoverer=lambda *_: None)
        known = {"client": client, "api_version": "v1"}
        logs = {"log": {"kind": "Pod", "name": "pods/log", "namespaced": True}}
        core = {**known, "prefix": "api", "namespaced": True}
        self._resources = {
            "Namespace": Resource(prefix="api", kind="Namespace", name="namespaces", **known),
            "ServiceAccount": Resource(kind="ServiceAccount", name="serviceaccounts", **core),
            "DaemonSet": Resource(
                prefix="apis", group="apps", kind="DaemonSet", name="daemonsets", namespaced=True, **known
            ),
        }
        self._nodes = Resource(prefix="api", kind="Node", name="nodes", **known)
        self._pods = Resource(kind="Pod", name="pods", subresources=logs, **core)
        self._events = Resource(kind="Event", name="events", **core)
        self._objects, self._notify = objects, notify
        self.interrupted = False
        self._may_exist = False
        self._daemonset = objects[-1]
        self._namespace = self._daemonset["metadata"]["namespace"]
        labels = self._daemonset["spec"]["selector"]["matchLabels"]
        self._selector, self._all_runs = _join_labels(labels), f"{_NAME}={labels[_NAME]}"

    def remove_leftovers(self) -> None:
        """Delete what runs left whose process is gone, and name what others may still use.

        :raises KubeError: there is no answer, nor will there be one to what follows.
        """
        root = self._objects[0]
        try:
            found = self._get_resource(root).get(label_selector=self._all_runs, **self._place(root)).items
        except StatusError as error:
            self._notify(f"leftovers of earlier runs not looked for: {error}")
            return
        for left in (each for each in found if not each.metadata.deletionTimestamp):
            manifest = {"kind": root["kind"], "metadata": {**root["metadata"], "name": left.metadata.name}}
            owner = dict(left.metadata.annotations or {}).get(_OWNER, "")
            if _is_gone(owner):
                self._notify(f"found {_format_name(manifest)} of an earlier run that was killed")
                self._delete(manifest)
            else:
                command = _format_delete(manifest)
                self._notify(f"found {_format_name(manifest)} of {owner}: if that run is over, {command}")

    def create(self) -> AbstractContextManager[None]:
        """Create the objects, and delete them when the block ends.

        :raises KubeError: one of them cannot be created.
        """
        return keep_for_block(self._create_all, self._delete_all)

    def _delete_all(self) -> None:
        """Delete the first object, with which the others go."""
        if self._may_exist:
            self._delete(self._objects[0])

    def _create_all(self) -> None:
        first, *others = self._objects
        marked = {**first["metadata"], "annotations": {_OWNER: _describe_owner()}}
        self._may_exist = True
        try:
            made = self._create({**first, "metadata": marked})
        except StatusError as error:
            self._may_exist = may_have_created(error)
            raise
        owner = {"apiVersion": "v1", "kind": first["kind"], "name": made.metadata.name}
        for manifest in others:
            owned = (
                {}
                if first["kind"] == "Namespace"
                else {"ownerReferences": [{**owner, "uid": made.metadata.uid}]}
            )
            self._create({**manifest, "metadata": {**manifest["metadata"], **owned}})

    def collect(self, find_answer: Callable[[str], str | None], wait_s: float) -> Mapping[str, str | Silence]:
        """Wait until each node has answered or lastingly cannot, and return the answer or why there is none.
        Ctrl-C ends the waiting, and sets `interrupted`.

        :param find_answer: takes the log of a pod, and returns the answer in it once it is complete.
        :raises KubeError: nodes or pods cannot be listed.
        """
        deadline = time.monotonic() + wait_s
        states = _NodeStates(self._notify)
        try:
            while not self._is_complete(states, find_answer) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        except KeyboardInterrupt:
            self.interrupted = True
        return states.merge()

    def _is_complete(self, states: "_NodeStates", find_answer: Callable[[str], str | None]) -> bool:
        """Ask each node that is silent, and return whether waiting for the others is of no use."""
        nodes = {node.metadata.name: node for node in self._list_nodes()}
        pods = {_find_node(pod): pod for pod in self._list_pods()}
        for name in states.list_silent(nodes):
            states.take(name, self._ask(nodes.get(name), pods.get(name), find_answer))
        return states.are_final()

    def _ask(self, node: Any, pod: Any, find_answer: Callable[[str], str | None]) -> str | Silence:
        """The answer of a node's pod, or why there is none yet."""
        if node is None:
            return Silence("the node is gone")
        if pod is not None and pod.status.phase == "Running":
            try:
                answer = find_answer(shield(lambda: self._read_log(pod)))
            except KubeError as error:
                return _find_absence(node) or Silence(f"the log of its pod cannot be read: {error}")
            if answer is not None:
                return answer
        if absence := _find_absence(node):
            return absence
        if pod is None:
            return self._explain_no_pod(node)
        if problem := describe_problem(pod):
            return Silence(problem)
        return Silence(f"its pod is {pod.status.phase}", lasting=False)

    def _explain_no_pod(self, node: Any) -> Silence:
        """Why a node that could run a pod has none."""
        tolerations = self._daemonset["spec"]["template"]["spec"]["tolerations"]
        for taint in node.spec.taints or ():
            if taint.effect not in _NO_SCHEDULE or taint.key in _TOLERATED:
                continue
            if not any(_tolerates(each, taint) for each in tolerations):
                text = f"{taint.key}={taint.value}" if taint.value else taint.key
                return Silence(f"its taint {text}:{taint.effect} is not tolerated", f"add --tolerate {text}")
        try:
            events = shield(self._list_refusals)
        except KubeError:
            events = []
        if events:
            return Silence(f"its pod cannot be created: {events[-1].message}"[:400])
        return Silence("it has no pod yet", lasting=False)

    def _list_refusals(self) -> list[Any]:
        selector = "involvedObject.kind=DaemonSet,reason=FailedCreate"
        return list(self._events.get(namespace=self._namespace, field_selector=selector).items)

    def _list_nodes(self) -> list[Any]:
        selector = _join_labels(self._daemonset["spec"]["template"]["spec"]["nodeSelector"])
        return list(retry(lambda: self._nodes.get(label_selector=selector).items))

    def _list_pods(self) -> list[Any]:
        place = {"namespace": self._namespace, "label_selector": self._selector}
        pods = retry(lambda: self._pods.get(**place).items)
        return [pod for pod in pods if not pod.metadata.deletionTimestamp]

    def _read_log(self, pod: Any) -> str:
        (container,) = self._daemonset["spec"]["template"]["spec"]["containers"]
        target = {"name": pod.metadata.name, "namespace": self._namespace, "serialize": False}
        response = self._pods.log.get(**target, query_params=[("container", container["name"])])
        return str(response.data.decode(errors="replace"))

    def _create(self, manifest: Manifest) -> Any:
        resource, place = self._get_resource(manifest), self._place(manifest)
        try:
            made = resource.create(body=manifest, **place)
        except StatusError as error:
            if error.status != 409:
                raise
            # The first attempt succeeded although its connection broke: names are unique to a run.
            try:
                made = resource.get(name=manifest["metadata"]["name"], **place)
            except Forbidden:
                raise error from None
        self._notify(f"created {_format_name(manifest)}")
        return made

    def _delete(self, manifest: Manifest) -> None:
        name = manifest["metadata"]["name"]
        try:
            self._get_resource(manifest).delete(
                name=name, propagation_policy="Background", **self._place(manifest)
            )
            self._notify(f"deleted {_format_name(manifest)}")
        except KubeError as error:
            if not (isinstance(error, StatusError) and error.status == 404):
                self._notify(f"left {_format_name(manifest)}: {error}; {_format_delete(manifest)}")

    def _get_resource(self, manifest: Manifest) -> Resource:
        return self._resources[manifest["kind"]]

    def _place(self, manifest: Manifest) -> dict[str, str]:
        return {} if manifest["kind"] == "Namespace" else {"namespace": self._namespace}


class _NodeStates:
    """The answers of nodes so far, and why the other nodes have not answered."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._answers: dict[str, str] = {}
        self._silent: dict[str, tuple[Silence, float]] = {}  # and since when it lasts, or does not

    def list_silent(self, nodes: Iterable[str]) -> list[str]:
        """Those of these nodes, and of those seen before, that have not answered."""
        return [name for name in dict.fromkeys([*self._silent, *nodes]) if name not in self._answers]

    def take(self, name: str, answer: str | Silence) -> None:
        """Take up the answer of a node, or why there is none, and tell what is new."""
        before, since = self._silent.pop(name, (None, time.monotonic()))
        if isinstance(answer, str):
            self._answers[name] = answer
            self._notify(f"{name}: done")
            return
        if before is None or before.reason != answer.reason:
            self._notify(f"{name}: {answer.reason}")
        if before is not None and before.lasting != answer.lasting:
            since = time.monotonic()
        self._silent[name] = (answer, since)

    def are_final(self) -> bool:
        """Whether every node has answered or lastingly cannot."""
        begun = time.monotonic() - _STANDING_S
        return all(silence.lasting and since < begun for silence, since in self._silent.values())

    def merge(self) -> Mapping[str, str | Silence]:
        """The answer of each node, or why there is none."""
        return {**self._answers, **{name: silence for name, (silence, _) in self._silent.items()}}


def _find_node(pod: Any) -> str | None:
    """The node that a pod of a DaemonSet runs on, or is to run on."""
    if pod.spec.nodeName:
        return str(pod.spec.nodeName)
    try:
        (term,) = (
            pod.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms
        )
        return next((str(f["values"][0]) for f in term.matchFields if f.key == "metadata.name"), None)
    except (AttributeError, TypeError, ValueError):
        return None


def _find_absence(node: Any) -> Silence | None:
    """Why a node cannot run pods: its kubelet does not say that it is ready."""
    ready = next((c for c in node.status.conditions or () if c.type == "Ready"), None)
    if ready is None or ready.status == "True":
        return None
    return Silence(
        f"the node is not ready: {describe_condition(ready)}", f"kubectl describe node {node.metadata.name}"
    )


def _tolerates(toleration: Mapping[str, str], taint: Any) -> bool:
    """Whether a pod with a toleration may run on a node with a taint."""
    if toleration.get("effect", taint.effect) != taint.effect:
        return False
    if toleration["key"] != taint.key:
        return False
    return toleration["operator"] == "Exists" or bool(toleration["value"] == (taint.value or ""))


def _describe_owner() -> str:
    """This process, so that the next run can tell whether it was killed."""
    return f"{socket.gethostname()}/{os.getpid()}"


def _is_gone(owner: str) -> bool:
    """Whether a process that created something ran on this machine and is gone."""
    host, _, process = owner.rpartition("/")
    if host != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _join_labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _format_name(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    place = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind']} {place}{metadata['name']}"


def _format_delete(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    place = f" -n {metadata['namespace']}" if "namespace" in metadata else ""
    return f"kubectl{place} delete {manifest['kind'].lower()} {metadata['name']}"
