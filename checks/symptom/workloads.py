"""Workloads and graphs that lack ready pods: what their pods' troubles lead to."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.checks.symptom._chain import describe_owners, is_part, make_subject, shorten
from dynocheck.facts import Condition, DeployedObject, NamespaceState

_WORKLOADS = ("Deployment", "StatefulSet", "Job", "LeaderWorkerSet", "PodClique")
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
_SETTLED = ("successful", "Deployed", "Ready")


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
        if each.terminating or not each.desired:
            continue
        failed = each.get_condition("Failed")
        if failed is not None and failed.status == "True":
            told = f"{each.key} has failed: {shorten(failed.message or failed.reason)}"
            fix = f"kubectl logs job/{each.key.name} -n {state.namespace} --all-pods"
        elif each.key.kind != "Job" and each.ready < each.desired:
            told = f"{each.key}: {each.ready} of {each.desired} ready"
            fix = f"kubectl describe {each.key.kind.lower()} {each.key.name} -n {state.namespace}"
        else:
            continue
        yield fail(told, fix=fix, subject=make_subject(state, each.key), evidence=describe_owners(each))


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
        judged = _judge_graph(each)
        if judged is not None:
            outcome, told = judged
            judge = fail if outcome == "fail" else warn
            yield judge(told, fix=fix, subject=make_subject(state, each.key), evidence=describe_owners(each))


def _judge_graph(each: DeployedObject) -> tuple[str, str] | None:
    """The outcome and message of a graph that is not ready."""
    if each.terminating:
        return "warn", f"{each.key} is being deleted"
    if not each.observed:
        return "fail", f"{each.key}: the operator has not seen its latest change"
    if not each.state and not each.conditions:
        return "fail", f"{each.key} has no status: no operator has looked at it"
    bad = [
        c
        for c in each.conditions
        if c.type in ("Ready", "EndpointsReady", "Succeeded") and c.status == "False"
    ]
    if not bad and each.state in ("", *_SETTLED):
        return None
    return "fail", f"{each.key} is {each.state or 'not ready'}{_describe_conditions(bad)}"


def _describe_conditions(conditions: list[Condition]) -> str:
    told = [shorten(": ".join(filter(None, [c.reason, c.message]))) for c in conditions]
    return f": {'; '.join(told)}" if told else ""
