"""Pods that no node takes, and claims that are not bound."""

import re
from collections.abc import Iterator

from dynocheck import Finding, check, fail, warn
from dynocheck.checks.symptom._chain import (
    PRESSURE,
    describe_pod,
    format_age,
    is_claim_of,
    make_subject,
    measure_age_s,
    shorten,
)
from dynocheck.data.cluster_messages import explain_scheduling
from dynocheck.facts import DeployedObject, DeployedPod, NamespaceState, ObjectKey

_SILENT_S = 60.0  # a scheduler looks at a pod within seconds
_PROVISIONER_S = 300.0
_PRESSURES = {
    "node.kubernetes.io/disk-pressure": "DiskPressure",
    "node.kubernetes.io/memory-pressure": "MemoryPressure",
    "node.kubernetes.io/pid-pressure": "PIDPressure",
}
_GROVE_GATE = "grove.io/podgang-pending-creation"
_SCHEDULER_EVENTS = (
    *("FailedScheduling", "GangSchedulingPending"),
    *("Unschedulable", "UnschedulableOnNodePool"),  # of KAI
)
_UNSCHEDULABLE = ("UnschedulableOnNodePool", "Unschedulable")  # conditions of a PodGroup of KAI
_NO_NODE = re.compile(
    r"^\d+/(\d+) nodes are available: (.*?)\.?(?: preemption:.*| no new claims.*)?$", re.DOTALL
)


@check("symptom.claim", title="Every claim of the deployment is bound")
def claim(state: NamespaceState) -> Iterator[Finding]:
    """A pod whose claim is not bound stays Pending.

    Fix: kubectl describe pvc NAME   # its events say what the provisioner waits for
    """
    claims = {each.key.name: each for each in state.list_objects("PersistentVolumeClaim")}
    used = {name for pod in state.pods if not pod.has_ended for name in pod.claims}
    for each in claims.values():
        if each.key.name in used or not state.target:
            yield from _judge_claim(state, each)
    if "persistentvolumeclaims" in state.unread:
        return
    for name in sorted(used - claims.keys()):
        yield fail(
            f"claim {name} does not exist",
            fix=f"kubectl get pvc -n {state.namespace}   # then create {name}, or correct the pod",
            subject=make_subject(state, ObjectKey("PersistentVolumeClaim", name)),
        )


def _judge_claim(state: NamespaceState, each: DeployedObject) -> Iterator[Finding]:
    name, subject = each.key.name, make_subject(state, each.key)
    describe = f"kubectl describe pvc {name} -n {state.namespace}"
    if each.state == "Lost":
        yield fail(f"the volume of claim {name} is gone", fix=describe, subject=subject)
    if each.state != "Pending":
        return
    failed = state.list_events(each.key, "ProvisioningFailed", "FailedBinding")
    waiting = state.list_events(each.key, "ExternalProvisioning")
    age = measure_age_s(state, each.created)
    if failed:
        missing = each.storage_class is not None and "not found" in failed[0].message
        fix = "kubectl get storageclass   # and recreate the claim with one of them" if missing else describe
        yield fail(f"claim {name} cannot be bound: {shorten(failed[0].message)}", fix=fix, subject=subject)
    elif waiting and (age or 0) > _PROVISIONER_S:
        since = format_age(age or 0)
        yield fail(
            f"claim {name} waits for its provisioner for {since}: {shorten(waiting[0].message)}",
            fix="kubectl get pods -A | grep csi   # whether the provisioner runs",
            subject=subject,
        )


def _is_evicted_sibling(cause: Finding, effect: Finding) -> bool:
    """The cause was evicted for what the nodes lack now, so that they do not take the pod of the effect."""
    return cause.evidence.get(PRESSURE) in effect.evidence.get(PRESSURE, ())


@check(
    "symptom.unscheduled",
    title="Every pod has a node",
    explained_by={"symptom.claim": is_claim_of, "symptom.ended": _is_evicted_sibling},
)
def unscheduled(state: NamespaceState) -> Iterator[Finding]:
    """A pod without a node stays Pending; the scheduler says for each node why it does not take it.

    Fix: kubectl describe pod NAME   # the message of FailedScheduling
    """
    for pod in state.pods:
        if not pod.node and not pod.has_ended and not pod.terminating:
            yield from _judge_unscheduled(state, pod)


def _judge_unscheduled(state: NamespaceState, pod: DeployedPod) -> Iterator[Finding]:
    subject, evidence = make_subject(state, pod.key), describe_pod(pod)
    condition = pod.get_condition("PodScheduled")
    events = state.list_events(pod.key, *_SCHEDULER_EVENTS)
    message = _explain_group(state, pod) or (condition.message if condition else "")
    message = message or (events[0].message if events else "")
    age = measure_age_s(state, pod.created)
    if pod.gates:
        held = ", ".join(pod.gates)
        stale = _find_stale_clique(state, pod)
        yield warn(
            f"pod {pod.name} is held back by the scheduling gate {held}"
            + (f" for {format_age(age)}" if age else "")
            + (f", while {stale} says that it is scheduled: of the pods before (grove#809)" if stale else ""),
            fix=_choose_gate_fix(state, pod),
            subject=subject,
            evidence=evidence,
        )
    elif message:
        yield fail(
            f"no node takes pod {pod.name}: {_describe_reasons(message)}",
            fix=explain_scheduling(message, namespace=state.namespace).fix
            or f"kubectl describe pod {pod.name} -n {state.namespace}",
            subject=subject,
            evidence=evidence
            | {"scheduler": pod.scheduler, "requests": pod.requests}
            | {PRESSURE: _list_pressures(message)},
        )
    elif age is not None and age > _SILENT_S:
        name = pod.scheduler or "default-scheduler"
        yield fail(
            f"no scheduler has looked at pod {pod.name} for {format_age(age)}: it names {name}",
            fix=f"kubectl get pods -A | grep {name}   # whether it runs; else correct schedulerName",
            subject=subject,
            evidence=evidence,
        )


def _choose_gate_fix(state: NamespaceState, pod: DeployedPod) -> str:
    """To look at what is to take the gate of a pod away."""
    if _GROVE_GATE in pod.gates:
        gang = "Grove takes it away when the whole gang is made"
        return f"kubectl get podgangs,podcliques -n {state.namespace}   # {gang}"
    if any(gate.startswith("kueue.x-k8s.io/") for gate in pod.gates):
        return (
            f"kubectl describe workloads.kueue.x-k8s.io -n {state.namespace}   # why Kueue does not admit it"
        )
    return f"kubectl describe pod {pod.name} -n {state.namespace}"


def _explain_group(state: NamespaceState, pod: DeployedPod) -> str:
    """Why KAI does not schedule the PodGroup of a pod; its pods say less."""
    groups = (each for each in state.list_objects("PodGroup") if each.key.name == pod.group)
    bad = (c for group in groups for c in group.conditions if c.type in _UNSCHEDULABLE and c.status == "True")
    return next((f"{c.reason}: {c.message}" for c in bad), "")


def _find_stale_clique(state: NamespaceState, pod: DeployedPod) -> str:
    """The clique that says of pods without a node that they are scheduled."""
    for clique in state.list_objects("PodClique"):
        condition = clique.get_condition("PodCliqueScheduled")
        if clique.key in pod.owners and condition is not None and condition.status == "True":
            mates = (other for other in state.pods if clique.key in other.owners)
            return "" if any(mate.node for mate in mates) else str(clique.key)
    return ""


def _list_pressures(message: str) -> list[str]:
    """What the nodes lack by their taints, if that is why they take no pods."""
    others = "Insufficient" in message or "affinity" in message
    return [] if others else [name for taint, name in _PRESSURES.items() if taint in message]


def _describe_reasons(message: str) -> str:
    """What the scheduler said, without what it says of preemption."""
    match = _NO_NODE.match(message.strip())
    return shorten(f"{match[2]} (of {match[1]} nodes)" if match else message)
