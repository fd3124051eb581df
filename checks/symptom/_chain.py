"""How findings of a deployment follow from each other."""

import datetime
from typing import Any

from dynocheck import Finding
from dynocheck.core.outcomes import Subject
from dynocheck.facts import ContainerState, DeployedObject, DeployedPod, NamespaceState, ObjectKey
from dynocheck.secrets import clip

_OWNERS = "part of"
_NODE = "node"
_CLAIMS = "claims"
AWAITED = "waits for"  # graphs, by kind and name
LOST_GPU = "lost GPU"  # that a GPU of a node has failed
PRESSURE = "pressure"  # what a node lacks, by the name of its condition
# Rules of log lines that say that a peer is missing; the empty one stands for no rule.
_NEW_S = 60.0  # a scheduler, a kubelet and most programs say within it what is wrong
_IDLE = ("ContainerCreating", "PodInitializing")
# Rules of log lines of programs that lose a GPU.
_OF_GPU = (
    *("cuda.ecc", "cuda.illegal-access", "cuda.no-gpu", "cuda.device-lost", "cuda.fabric"),
    *("nccl.timeout", "nccl.unhandled", "sglang.watchdog", "trtllm.rank-hang"),
)
_WAITING = ("", "ray.waiting")  # rules of a leader that says no more than that its workers are missing
_FOLLOWING = (
    "",
    "nccl.timeout",
    "nixl.disconnected",
    "ray.too-few-nodes",
    "sglang.bootstrap",
    "system.name",
)


def make_subject(state: NamespaceState, key: ObjectKey) -> Subject:
    """The object as the subject of a finding."""
    return Subject(key.kind, key.name, None if key.kind == "Node" else state.namespace)


def describe_pod(pod: DeployedPod) -> dict[str, Any]:
    """The evidence by which findings of a pod are linked with others: its owners, node and claims."""
    evidence: dict[str, Any] = {_OWNERS: [str(owner) for owner in pod.owners]} if pod.owners else {}
    evidence |= {_NODE: pod.node} if pod.node else {}
    return evidence | ({_CLAIMS: list(pod.claims)} if pod.claims else {})


def describe_owners(each: DeployedObject) -> dict[str, Any]:
    """The evidence by which findings of an object are linked with those of its owners."""
    return {_OWNERS: [str(owner) for owner in each.owners]} if each.owners else {}


def is_part(cause: Finding, effect: Finding) -> bool:
    """The cause is about the object that the effect is about, or about a part of it."""
    subject = effect.subject
    if subject is None:
        return False
    return cause.subject == subject or f"{subject.kind} {subject.name}" in cause.evidence.get(_OWNERS, ())


def is_waited_for(cause: Finding, effect: Finding) -> bool:
    """The cause is about a graph that the object of the effect waits for, or about a part of it."""
    if cause.subject is None:
        return False
    about = {f"{cause.subject.kind} {cause.subject.name}", *cause.evidence.get(_OWNERS, ())}
    return not about.isdisjoint(effect.evidence.get(AWAITED, ()))


def is_node_of(cause: Finding, effect: Finding) -> bool:
    """The cause is about the node of the pod that the effect is about."""
    return cause.subject is not None and effect.evidence.get(_NODE) == cause.subject.name


def is_lost_gpu_of(cause: Finding, effect: Finding) -> bool:
    """The cause is a failed GPU of the node of the pod whose program, by its log, lost one."""
    lost = LOST_GPU in cause.evidence and effect.evidence.get("rule") in _OF_GPU
    return lost and is_node_of(cause, effect)


def is_claim_of(cause: Finding, effect: Finding) -> bool:
    """The cause is about a claim that the pod of the effect mounts."""
    return cause.subject is not None and cause.subject.name in effect.evidence.get(_CLAIMS, ())


def is_leader_of(cause: Finding, effect: Finding) -> bool:
    """The cause is about the leader of the multi-node group of which the pod of the effect is a worker, whose
    log says no more than that the leader is missing.
    """
    follows = effect.evidence.get("rule", "") in _FOLLOWING
    return follows and _leads(cause, effect)


def is_gang_mate(cause: Finding, effect: Finding) -> bool:
    """The two are about leader and worker of a multi-node group: each waits for the other."""
    return is_leader_of(cause, effect) or (
        effect.evidence.get("rule", "") in _WAITING and _leads(effect, cause)
    )


def _leads(leader: Finding, worker: Finding) -> bool:
    """Whether a pod leads another: in LeaderWorkerSets the worker's name begins with the leader's, the names
    of Dynamo's cliques end in -ldr and -wkr.
    """
    if leader.subject is None or worker.subject is None:
        return False
    name, _, number = worker.subject.name.rpartition("-")
    owners, others = (frozenset(each.evidence.get(_OWNERS, ())) for each in (leader, worker))
    if name == leader.subject.name and number.isdecimal():
        return any(owner.startswith("LeaderWorkerSet ") for owner in owners & others)
    cliques = {owner.removesuffix("-ldr") for owner in owners if owner.endswith("-ldr")}
    return not cliques.isdisjoint(owner.removesuffix("-wkr") for owner in others if owner.endswith("-wkr"))


def is_past_run(state: NamespaceState, job: DeployedObject) -> bool:
    """Whether a Job is a run of a CronJob of which a later one has succeeded."""
    return any(
        other.owners[:1] == job.owners[:1]
        and other.created >= job.created
        and any(c.type == "Complete" and c.status == "True" for c in other.conditions)
        for other in state.list_objects("Job")
        if job.owners and job.owners[0].kind == "CronJob" and other is not job
    )


def is_starting(state: NamespaceState, pod: DeployedPod) -> bool:
    """Whether a pod is on its way: it is new, its image is being pulled, or its startup probe has time."""
    if pod.has_ended or pod.terminating:
        return False
    if _is_new(state, pod):
        return True
    return bool(pod.node) and all(
        each.ready or each.init or is_pulling(state, pod) or has_startup_time(state, each)
        for each in pod.containers
    )


def _is_new(state: NamespaceState, pod: DeployedPod) -> bool:
    """Whether a pod is in its first minute, and nobody has said that anything is wrong with it."""
    age, placed = measure_age_s(state, pod.created), pod.get_condition("PodScheduled")
    if (
        age is None
        or age > _NEW_S
        or pod.gates
        or (placed is not None and placed.status == "False" and placed.message)
    ):
        return False
    if any(event.type == "Warning" for event in state.list_events(pod.key)):
        return False
    return not any(
        each.previous
        or each.waiting not in ("", *_IDLE)
        or (each.ended and each.ended.is_failure)
        or (measure_age_s(state, each.running_since) or 0) > _NEW_S
        for each in pod.containers
    )


def is_pulling(state: NamespaceState, pod: DeployedPod) -> bool:
    """Whether the last event before its containers run is that an image is being pulled."""
    if any(each.waiting not in _IDLE and not (each.init and each.ended) for each in pod.containers):
        return False
    events = [e for e in state.list_events(pod.key) if e.reason != "Scheduled"]
    return bool(events) and events[0].reason in ("Pulling", "Pulled")


def has_startup_time(state: NamespaceState, container: ContainerState) -> bool:
    """Whether it runs, is not started, and is within the time of its startup probe."""
    age = measure_age_s(state, container.running_since)
    return not container.started and age is not None and age < (container.startup_s or 0)


def measure_age_s(state: NamespaceState, moment: str) -> float | None:
    """The seconds from this moment until the state was taken; None if the moment is unknown."""
    try:
        taken, then = map(datetime.datetime.fromisoformat, (state.taken, moment))
        return (taken - then).total_seconds()
    except (ValueError, TypeError):
        return None


def is_later(moment: str, since: str) -> bool:
    """Whether a moment is after another one; no if one of them is unknown."""
    try:
        return datetime.datetime.fromisoformat(moment) > datetime.datetime.fromisoformat(since)
    except (ValueError, TypeError):
        return False


def format_age(seconds: float) -> str:
    """Such as 45 s, 12 min or 3 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def shorten(text: str, width: int = 300) -> str:
    """The text on one line, cut at this number of characters."""
    return clip(" ".join(text.split()), width)
