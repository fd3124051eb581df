"""Containers that do not come to run: images, volumes, configuration, nodes."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, check, fail, warn
from dynocheck.checks.symptom._chain import (
    PRESSURE,
    describe_pod,
    format_age,
    is_claim_of,
    is_node_of,
    is_pulling,
    make_subject,
    measure_age_s,
    shorten,
)
from dynocheck.data.cluster_messages import explain_message
from dynocheck.data.log_rules import find_last_words
from dynocheck.facts import ContainerLogs, ContainerState, DeployedPod, NamespaceState

_PULLS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")
_CREATIONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError")
_PREPARATIONS = (
    "FailedMount",
    "FailedAttachVolume",
    "FailedMapVolume",
    "FailedCreatePodSandBox",
    "FailedPrepareDynamicResources",
)
_DELETION_S = 120.0
_RESOURCES = re.compile(r"low on resource: (ephemeral-storage|inodes|memory|pids)")
_CONDITIONS = {
    "ephemeral-storage": "DiskPressure",
    "inodes": "DiskPressure",
    "memory": "MemoryPressure",
    "pids": "PIDPressure",
}


class _End(NamedTuple):
    """Why a pod has failed as a whole."""

    reason: str
    message: str


@check("symptom.image", title="Every image can be pulled", explained_by={"symptom.node": is_node_of})
def image(state: NamespaceState) -> Iterator[Finding]:
    """A container whose image cannot be pulled does not start.

    Fix: kubectl describe pod NAME   # the message of Failed
    """
    for pod, container in _list_containers(state):
        events = state.list_events(pod.key, "Failed", "InspectFailed")
        told = [e.message for e in events if container.image in e.message]
        if container.waiting not in _PULLS and not (container.waiting == "ContainerCreating" and told):
            continue
        said = [container.message, *told]
        message = next((text for text in said if text and "Back-off" not in text), said[0])
        means, fix = explain_message("pull", f"{container.waiting}: {message}", namespace=state.namespace)
        yield fail(
            f"container {container.name}: image {container.image} cannot be pulled: "
            f"{means or shorten(message)}",
            fix=fix or f"kubectl describe pod {pod.name} -n {state.namespace}",
            subject=make_subject(state, pod.key),
            evidence=describe_pod(pod) | {"message": shorten(message), "container": container.name},
        )


@check(
    "symptom.start",
    title="Every container can be started",
    explained_by={"symptom.node": is_node_of, "symptom.claim": is_claim_of},
)
def start(state: NamespaceState, logs: ContainerLogs) -> Iterator[Finding]:
    """Before a container runs, the kubelet prepares volumes, network, devices and variables.

    Fix: kubectl describe pod NAME   # its events
    """
    for pod in state.pods:
        if pod.node and not pod.has_ended and not pod.terminating:
            yield from _judge_start(state, logs, pod)


def _has_crashed(container: ContainerState) -> bool:
    """Whether its program was started and failed at once, which symptom.crash tells."""
    last = container.ended or container.previous
    return container.waiting == "RunContainerError" and last is not None and last.reason == "StartError"


def _describe_last_words(logs: ContainerLogs, pod: DeployedPod, container: ContainerState) -> str:
    log = logs.find(pod.name, container.name, previous=False)
    return f"; its log ends: {shorten(find_last_words(log.lines))}" if log and log.lines else ""


def _judge_start(state: NamespaceState, logs: ContainerLogs, pod: DeployedPod) -> Iterator[Finding]:
    subject, evidence = make_subject(state, pod.key), describe_pod(pod)
    refused = [c for c in pod.containers if c.waiting in _CREATIONS and not _has_crashed(c)]
    for container in refused:
        means, fix = explain_message("start", container.message, namespace=state.namespace, pod=pod.name)
        yield fail(
            f"container {container.name} cannot be started: {means or shorten(container.message)}",
            fix=fix or f"kubectl describe pod {pod.name} -n {state.namespace}",
            subject=subject,
            evidence=evidence | {"reason": container.waiting, "message": shorten(container.message)},
        )
    running = any(c.running_since or c.ended or c.previous for c in pod.containers)
    if is_pulling(state, pod):
        waited = measure_age_s(state, pod.created) or 0
        yield warn(
            f"pod {pod.name} is being started for {format_age(waited)}: its image is being pulled",
            fix=f"kubectl describe pod {pod.name} -n {state.namespace}",
            subject=subject,
            evidence=evidence,
        )
    elif (events := state.list_events(pod.key, *_PREPARATIONS)) and not running and not refused:
        means, fix = explain_message("start", events[0].message, namespace=state.namespace, pod=pod.name)
        yield fail(
            f"pod {pod.name} cannot be started: {means or shorten(events[0].message)}",
            fix=fix or f"kubectl describe pod {pod.name} -n {state.namespace}",
            subject=subject,
            evidence=evidence | {"reason": events[0].reason, "message": shorten(events[0].message)},
        )
    for container in pod.containers:
        age = measure_age_s(state, container.running_since) if container.holds_back else None
        if age is not None:
            yield warn(
                f"init container {container.name} runs for {format_age(age)}: the others wait for it"
                f"{_describe_last_words(logs, pod, container)}",
                fix=f"kubectl logs {pod.name} -c {container.name} -n {state.namespace}   # if it is to run "
                "beside the others: restartPolicy: Always",
                subject=subject,
                evidence=evidence,
            )


@check(
    "symptom.ended",
    title="No pod was evicted, refused by its node, or stays when it is deleted",
    explained_by={"symptom.node": is_node_of},
)
def ended(state: NamespaceState) -> Iterator[Finding]:
    """A pod that its node refuses or evicts has failed for good; its controller makes another one.

    Fix: kubectl describe pod NAME   # its message
    """
    for pod in state.pods:
        yield from _judge_deletion(state, pod)
        if end := _find_end(state, pod):
            replaced = _is_replaced(state, pod)
            judge = warn if replaced else fail
            yield judge(
                f"pod {pod.name}: {end.reason}: {shorten(end.message)}",
                fix=_choose_end_fix(pod, end, state.namespace),
                subject=make_subject(state, pod.key),
                evidence=describe_pod(pod) | {"replaced": replaced} | _describe_pressure(end),
            )


def _judge_deletion(state: NamespaceState, pod: DeployedPod) -> Iterator[Finding]:
    """A pod that is deleted and stays keeps a StatefulSet from making another one of its name."""
    late = measure_age_s(state, pod.deleted)
    held = f": the finalizer {', '.join(pod.finalizers)} holds it" if pod.finalizers else ""
    waits = any(owner.kind == "StatefulSet" for owner in pod.owners[:1]) and not _is_replaced(state, pod)
    if late is not None and late <= _DELETION_S and waits:
        yield warn(
            f"pod {pod.name} is being deleted{held}; its StatefulSet waits until it is gone",
            fix=f"kubectl get pod {pod.name} -n {state.namespace} -o yaml   # its node and its finalizers",
            subject=make_subject(state, pod.key),
            evidence=describe_pod(pod),
        )
    elif late is not None and late > _DELETION_S:
        look = f"kubectl get pod {pod.name} -n {state.namespace} -o yaml   # who should remove the finalizer"
        judge = warn if _is_replaced(state, pod) else fail
        yield judge(
            f"pod {pod.name} should have been gone for {format_age(late)}{held}",
            fix=look if pod.finalizers else f"kubectl describe node {pod.node}   # whether its kubelet runs",
            subject=make_subject(state, pod.key),
            evidence=describe_pod(pod),
        )


def _find_end(state: NamespaceState, pod: DeployedPod) -> _End | None:
    """How the pod ended, or ends: the event of an eviction comes before the pod's status says so."""
    if pod.phase == "Failed" and pod.reason and pod.reason != "DeadlineExceeded":
        return _End(pod.reason, pod.message)
    events = state.list_events(pod.key, "Evicted") if not pod.has_ended else []
    return _End("Evicted", events[0].message) if events else None


def _describe_pressure(end: _End) -> dict[str, str]:
    """What the node lacked when it evicted the pod, by the name of its condition."""
    lacked = _RESOURCES.search(end.message) if end.reason == "Evicted" else None
    return {PRESSURE: _CONDITIONS[lacked[1]]} if lacked else {}


def _is_replaced(state: NamespaceState, pod: DeployedPod) -> bool:
    return any(o.key in pod.owners[:1] and o.ready >= (o.desired or 0) for o in state.objects)


def _choose_end_fix(pod: DeployedPod, end: _End, namespace: str) -> str:
    if "sizeLimit" in end.message or "EmptyDir volume" in end.message:
        return "raise sizeLimit of the emptyDir, or mount a claim there"
    if "ephemeral-storage" in end.message:
        return "mount a claim where the pod writes the model, and raise its request of ephemeral-storage"
    if "memory" in end.message and end.reason == "Evicted":
        return "raise the pod's request of memory to what it uses"
    if "unhealthy devices" in end.message or end.reason == "UnexpectedAdmissionError":
        return f"kubectl describe node {pod.node}   # its devices; dynocheck preflight --select gpu"
    return f"kubectl describe pod {pod.name} -n {namespace}"


def _list_containers(state: NamespaceState) -> Iterator[tuple[DeployedPod, ContainerState]]:
    live = (pod for pod in state.pods if not pod.has_ended and not pod.terminating)
    return ((pod, container) for pod in live for container in pod.containers)
