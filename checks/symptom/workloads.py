"""Workloads and graphs that lack ready pods: what their pods' troubles lead to."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.checks.symptom._chain import (
    describe_owners,
    is_part,
    is_past_run,
    is_starting,
    make_subject,
    shorten,
)
from dynocheck.facts import Condition, DeployedObject, NamespaceState

_WORKLOADS = ("Deployment", "StatefulSet", "Job", "LeaderWorkerSet", "PodCliqueSet", "PodClique")
_GRAPHS = ("DynamoGraphDeployment", "DynamoGraphDeploymentRequest", "DynamoModel")
_OF_PODS = {
    "symptom.unscheduled": is_part,
    "symptom.creation": is_part,
    "symptom.image": is_part,
    "symptom.start": is_part,
    "symptom.crash": is_part,
    "symptom.not-ready": is_part,
    "symptom.ended": is_part,
}
_GANG = {"MinAvailableBreached": "True", "PodCliqueScheduled": "False", "TopologyLevelsUnavailable": "True"}
_ROLES = ("prefill", "decode")
_SETTLED = ("successful", "Deployed", "Ready")
_PASSING = ("Profiling", "Deploying")  # of a request; the operator works on it
_DECISIVE = ("Ready", "EndpointsReady", "Succeeded")


@check("symptom.unread", title="Everything that belongs to the deployment can be read")
def unread(state: NamespaceState) -> Iterator[Finding]:
    """What cannot be read may hold the cause.

    Fix: dynocheck rbac --diagnose --bind user:NAME | kubectl apply -n NAMESPACE -f -   # as an administrator
    """
    for resource, reason in state.unread.items():
        yield unknown(f"{resource} cannot be read: {reason}", fix="kubectl auth can-i --list")


@check("symptom.workload", title="Every workload has its pods", explained_by=_OF_PODS)
def workload(state: NamespaceState) -> Iterator[Finding]:
    """A workload without enough ready pods serves less than it should, or nothing.

    Fix: kubectl describe deployment NAME
    """
    for each in state.list_objects(*_WORKLOADS):
        if each.terminating or not each.desired or is_past_run(state, each):
            continue
        failed = each.get_condition("Failed")
        if failed is not None and failed.status == "True":
            told = f"{each.key} has failed: {shorten(failed.message or failed.reason)}"
            fix = f"kubectl logs job/{each.key.name} -n {state.namespace} --all-pods"
        elif each.key.kind == "PodCliqueSet":
            told = f"{each.key} does not run as a gang{_describe_gang(each)}"
            fix = f"kubectl describe podcliqueset {each.key.name} -n {state.namespace}"
            if not _describe_gang(each):
                continue
        elif each.key.kind != "Job" and each.ready < each.desired:
            told = f"{each.key}: {each.ready} of {each.desired} ready{_describe_gang(each)}"
            fix = f"kubectl describe {each.key.kind.lower()} {each.key.name} -n {state.namespace}"
        else:
            continue
        judge = warn if _is_progressing(state, each) else fail
        yield judge(told, fix=fix, subject=make_subject(state, each.key), evidence=describe_owners(each))


def _describe_gang(each: DeployedObject) -> str:
    """What Grove says of a clique or set whose gang does not run."""
    bad = [c for c in each.conditions if _GANG.get(c.type) == c.status]
    return _describe_conditions(bad)


def _is_progressing(state: NamespaceState, each: DeployedObject) -> bool:
    """Whether every pod of it is ready or on its way, and there are some."""
    pods = [pod for pod in state.pods if each.key in pod.owners and not pod.terminating]
    return bool(pods) and all(pod.is_ready or is_starting(state, pod) for pod in pods)


@check("symptom.graph", title="Every graph is ready", explained_by={**_OF_PODS, "symptom.workload": is_part})
def graph(state: NamespaceState) -> Iterator[Finding]:
    """The operator says in the status of a graph whether it is ready, and why not.

    Fix: kubectl describe dynamographdeployment NAME
    """
    graphs = [*state.list_objects(*_GRAPHS)]
    if not graphs:
        raise Skip("no graph of Dynamo here")
    for each in graphs:
        fix = f"kubectl describe {each.key.kind.lower()} {each.key.name} -n {state.namespace}"
        if told := _describe_trouble(each):
            passing = each.terminating or each.state in _PASSING or _is_progressing(state, each)
            judge = warn if passing else fail
            yield judge(told, fix=fix, subject=make_subject(state, each.key), evidence=describe_owners(each))
        yield from _judge_roles(state, each)


def _judge_roles(state: NamespaceState, graph: DeployedObject) -> Iterator[Finding]:
    """Whether of prefill and decode workers one is scaled to 0 while the other serves."""
    parts = [each for each in state.list_objects(*_WORKLOADS) if graph.key in each.owners]
    ready = {each.component for each in parts if each.ready}
    for each in parts:
        if each.component in _ROLES and each.desired == 0 and ({*_ROLES} - {each.component}) & ready:
            yield warn(
                f"{graph.key} has no {each.component} worker: {each.key} is scaled to 0",
                fix=f"kubectl edit dgd {graph.key.name} -n {state.namespace}   # replicas of the component",
                subject=make_subject(state, graph.key),
            )


def _describe_trouble(each: DeployedObject) -> str:
    """Why a graph is not ready; empty if it is."""
    if each.terminating:
        return f"{each.key} is being deleted"
    if not each.observed:
        return f"{each.key}: the operator has not seen its latest change"
    if not each.state and not each.conditions:
        return f"{each.key} has no status: no operator has looked at it"
    bad = [c for c in each.conditions if c.type in _DECISIVE and c.status == "False"]
    if not bad and each.state in ("", *_SETTLED):
        return ""
    return f"{each.key} is {each.state or 'not ready'}{_describe_conditions(bad)}"


def _describe_conditions(conditions: list[Condition]) -> str:
    told = [shorten(": ".join(filter(None, [c.reason, c.message]))) for c in conditions]
    return f": {'; '.join(told)}" if told else ""
