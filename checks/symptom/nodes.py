"""The nodes of the pods: whether they are ready, what they lack, what their kernels say."""

import re
from collections.abc import Iterator

from dynocheck import Finding, check, fail, warn
from dynocheck.checks.symptom._chain import (
    PRESSURE,
    is_node_of,
    make_subject,
    measure_age_s,
    shorten,
)
from dynocheck.core.explanations import same_place
from dynocheck.data.cluster_messages import explain_message
from dynocheck.data.xids import find_xid
from dynocheck.facts import HostState, NamespaceState, ObjectEvent, ObjectKey

_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
_RECENT_S = 3600.0
_XID = re.compile(r"\bXid \([^)]{1,60}\)[^:\n]{0,80}: (\d{1,4})\b|\bXID[ :]{1,2}(\d{1,4})\b")
_STEPS = {
    "reset": "reset the GPU",
    "reboot": "restart the node",
    "reset_later": "reset the GPU when it is idle",
}


def _filled_up(cause: Finding, effect: Finding) -> bool:
    """The pod of the cause was evicted for what the node of the effect lacks."""
    pressure = effect.evidence.get(PRESSURE)
    return (
        pressure is not None
        and pressure == cause.evidence.get(PRESSURE)
        and effect.subject is not None
        and is_node_of(effect, cause)
    )


@check("symptom.node", title="The nodes of the pods are ready")
def node(state: NamespaceState) -> Iterator[Finding]:
    """Pods of a node that is not ready are gone, or will be evicted.

    Fix: kubectl describe node NAME
    """
    for host in state.hosts:
        ready = next((c for c in host.conditions if c.type == "Ready"), None)
        if ready is None or ready.status != "True":
            told = shorten((ready.message or ready.reason) if ready else "it has not reported yet")
            yield fail(
                f"node {host.name} is not ready: {told}",
                fix=f"kubectl describe node {host.name}",
                subject=make_subject(state, ObjectKey("Node", host.name)),
            )


@check(
    "symptom.pressure",
    title="The nodes of the pods have memory, disk and processes left",
    explained_by={"symptom.ended": _filled_up, "symptom.node": same_place},
)
def pressure(state: NamespaceState) -> Iterator[Finding]:
    """A node that runs out of something evicts pods, and takes no new ones.

    Fix: kubectl describe node NAME
    """
    for host in state.hosts:
        for condition in host.conditions:
            if condition.type in _PRESSURES and condition.status == "True":
                yield warn(
                    f"node {host.name}: {condition.type}: {shorten(condition.message or condition.reason)}",
                    fix=f"kubectl describe node {host.name}",
                    subject=make_subject(state, ObjectKey("Node", host.name)),
                    evidence={PRESSURE: condition.type},
                )


@check(
    "symptom.kernel",
    title="Kernels and devices of the nodes report no trouble",
    explained_by={"symptom.node": same_place},
)
def kernel(state: NamespaceState) -> Iterator[Finding]:
    """node-problem-detector, the kubelet and agents of clouds write what the kernel says of a node into its
    events and conditions: GPU errors, processes that were killed, storage that does not answer.

    Fix: kubectl describe node NAME   # conditions and events
    """
    for host in state.hosts:
        told = dict.fromkeys(_list_messages(state, host))
        for message in told:
            means, fix = _explain(message, host.name)
            if means:
                yield warn(
                    f"node {host.name}: {means}: {shorten(message)}",
                    fix=fix,
                    subject=make_subject(state, ObjectKey("Node", host.name)),
                )


def _list_messages(state: NamespaceState, host: HostState) -> Iterator[str]:
    """What the conditions of a node say now, and its events of the last hour."""
    for condition in host.conditions:
        if condition.type != "Ready" and condition.type not in _PRESSURES:
            yield f"{condition.type} is {condition.status}: {condition.reason}: {condition.message}"
    for event in state.list_events(ObjectKey("Node", host.name)):
        if event.type == "Warning" and _is_recent(state, event):
            yield f"{event.reason}: {event.message}"


def _is_recent(state: NamespaceState, event: ObjectEvent) -> bool:
    age = measure_age_s(state, event.last)
    return age is None or age < _RECENT_S


def _explain(message: str, node: str) -> tuple[str, str]:
    """What a message of a node means, and what to do; empty if it is not known to be trouble."""
    if match := _XID.search(message):
        xid = find_xid(int(match[1] or match[2]))
        if xid is not None and xid.step in _STEPS:
            return f"XID {xid.code}, {xid.meaning}", f"kubectl drain {node}   # then {_STEPS[xid.step]}"
        return "", ""
    means, fix = explain_message("node", message, namespace="", pod=node)
    return means, fix or ""
