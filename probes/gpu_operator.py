"""The GPU Operator's own pods, wherever they run."""

from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, OperatorPods, Pod
from dynocheck.kube import Cluster, together
from dynocheck.probes.wire import Condition, Meta

# Helm's chart sets the first, OLM's bundle and old charts the second.
_SELECTORS = ("app.kubernetes.io/name=gpu-operator", "app=gpu-operator")


class _Waiting(msgspec.Struct):
    reason: str = ""


class _State(msgspec.Struct):
    waiting: _Waiting | None = None


class _ContainerStatus(msgspec.Struct):
    state: _State = msgspec.field(default_factory=_State)


class _Status(msgspec.Struct, rename="camel"):
    phase: str = ""
    conditions: list[Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class _Pod(msgspec.Struct):
    metadata: Meta
    status: _Status = msgspec.field(default_factory=_Status)


@probe(access=[Access("list", "pods")])
def gpu_operator_pods(cluster: Cluster) -> OperatorPods:
    def matching(selector: str) -> list[_Pod]:
        return cluster.items("/api/v1/pods", _Pod, labelSelector=selector)

    lists = together([partial(matching, selector) for selector in _SELECTORS])
    pods = (_pod(found) for each in lists for found in each)
    return OperatorPods(tuple({(pod.namespace, pod.name): pod for pod in pods}.values()))


def _pod(found: _Pod) -> Pod:
    status = found.status
    return Pod(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        phase=status.phase,
        ready=any(c.type == "Ready" and c.status == "True" for c in status.conditions or ()),
        waiting=tuple(
            container.state.waiting.reason
            for container in status.container_statuses or ()
            if container.state.waiting is not None
        ),
    )
