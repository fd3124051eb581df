"""Reads what keeps the pods of etcd and NATS from running."""

import msgspec

from dynocheck.facts import PlatformPod
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition

_STORES = "app.kubernetes.io/name in (etcd,nats)"


class _Waiting(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _State(msgspec.Struct):
    waiting: _Waiting | None = None


class _ContainerStatus(msgspec.Struct):
    state: _State = msgspec.field(default_factory=_State)


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    conditions: list[StatusCondition] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class _Pod(msgspec.Struct):
    metadata: ObjectMeta
    status: _Status = msgspec.field(default_factory=_Status)


def list_stopped(cluster: Cluster) -> tuple[PlatformPod, ...]:
    """The pods of etcd and NATS of which is told why they do not run."""
    pods = cluster.items("/api/v1/pods", _Pod, labelSelector=_STORES)
    found = ((pod.metadata.namespace, pod.metadata.name, _find_problem(pod.status)) for pod in pods)
    return tuple(PlatformPod(*each) for each in found if each[2])


def _find_problem(status: _Status) -> str:
    """Why a pod is not scheduled, or a container of it does not start; empty where neither is told."""
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return ": ".join(filter(None, (condition.reason, condition.message)))
    for container in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        waiting = container.state.waiting
        if waiting is not None and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
            return ": ".join(filter(None, (waiting.reason, waiting.message)))
    return ""
