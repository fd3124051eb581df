"""Workloads and graphs that lack ready pods: what their pods' troubles lead to."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.checks.symptom._chain import (
    AWAITED,
    describe_owners,
    is_part,
    is_past_run,
    is_starting,
    is_waited_for,
    make_subject,
    shorten,
)
from dynocheck.core.outcomes import Outcome
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
_GANG = {
    "MinAvailableBreached": "True",
    "PodCliqueScheduled": "False",
    "TopologyLevelsUnavailable": "True",
    "GangTerminationInProgress": "True",
}
_UNSEEN = "not seen by the operator"
_GANG_ENDED = "PodCliqueSetReplicaDeleteSuccessful"
_ROLES = ("prefill", "decode")
_WORKERS = (*_ROLES, "worker")
_AUTOSCALERS = ("HorizontalPodAutoscaler", "ScaledObject", "DynamoGraphDeploymentScalingAdapter")
_SETTLED = ("successful", "Deployed", "Ready")
_PASSING = ("Profiling", "Deploying")  # of a request; the operator works on it
_REQUEST, _MODEL = "DynamoGraphDeploymentRequest", "DynamoModel"
# The stages of a request and of a model, in their order, and what to do when one fails.
_STAGES = {
    "Validation": "kubectl edit dgdr {name} -n {namespace}   # what the message names",
    "Profiling": "kubectl logs -l dgdr.nvidia.com/name={name} -n {namespace} --all-containers   # its Job",
    "SpecGenerated": "kubectl describe dgdr {name} -n {namespace}   # its events",
    "DeploymentReady": "kubectl get dgd -l dgdr.nvidia.com/name={name} -n {namespace}   # then diagnose it",
    "ServicesFound": "kubectl get dynamomodel {name} -n {namespace} -o yaml   # correct baseModelName: "
    "workers of this namespace must serve it",
    "EndpointsReady": "kubectl describe dynamomodel {name} -n {namespace}   # which endpoints are not ready",
}
_DECISIVE = (*_STAGES, "Ready", "Succeeded")


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
    yield from _judge_idle(state)
    for each in state.list_objects(*_WORKLOADS):
        if each.terminating or not each.desired or is_past_run(state, each):
            continue
        failed = each.get_condition("Failed")
        if failed is not None and failed.status == "True":
            told = f"{each.key} has failed: {shorten(failed.message or failed.reason)}"
            fix = f"kubectl logs job/{each.key.name} -n {state.namespace} --all-pods"
        elif each.key.kind == "PodCliqueSet":
            ended = "; Grove has deleted its pods" if state.list_events(each.key, _GANG_ENDED) else ""
            told = f"{each.key} does not run as a gang{_describe_gang(each)}{ended}"
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


def _judge_idle(state: NamespaceState) -> Iterator[Finding]:
    """Whether a graph, or the workload that is diagnosed, has no worker by its own wish, and nothing that
    wakes it.
    """
    scaled = {owner for each in state.list_objects(*_AUTOSCALERS) for owner in each.owners}
    for each in state.objects:
        is_graph = each.key.kind == "DynamoGraphDeployment"
        if not is_graph and str(each.key) != state.target:
            continue
        parts = [w for w in state.list_objects(*_WORKLOADS) if each.key in (w.key, *w.owners)]
        workers = [part for part in parts if part.component in _WORKERS] or parts
        stopped = workers and all(w.desired == 0 and w.key.kind != "Job" for w in workers)
        if stopped and scaled.isdisjoint({each.key, *(w.key for w in workers)}):
            scale = f"kubectl scale {each.key.kind.lower()}/{each.key.name} --replicas=1 -n {state.namespace}"
            edit = f"kubectl edit dgd {each.key.name} -n {state.namespace}   # replicas of its workers"
            yield warn(
                f"{each.key} serves nothing: {', '.join(str(w.key) for w in workers)} is scaled to 0",
                fix=edit if is_graph else scale,
                subject=make_subject(state, each.key),
            )


def _describe_gang(each: DeployedObject) -> str:
    """What Grove says of a clique or set whose gang does not run."""
    bad = [c for c in each.conditions if _GANG.get(c.type) == c.status]
    return _describe_conditions(bad)


def _is_progressing(state: NamespaceState, each: DeployedObject) -> bool:
    """Whether every pod of it is ready or on its way, and there are some."""
    pods = [pod for pod in state.pods if each.key in pod.owners and not pod.terminating]
    return bool(pods) and all(pod.is_ready or is_starting(state, pod) for pod in pods)


def _is_needed(cause: Finding, effect: Finding) -> bool:
    """The cause is about the object of the effect, a part of it, or workers that it waits for."""
    return is_part(cause, effect) or is_waited_for(cause, effect)


@check(
    "symptom.graph",
    title="Every graph is ready",
    explained_by={
        **dict.fromkeys((*_OF_PODS, "symptom.workload"), _is_needed),
        "symptom.graph": lambda cause, effect: cause.subject != effect.subject and _is_needed(cause, effect),
        "symptom.operator": lambda cause, effect: (
            cause.outcome is Outcome.FAIL and _UNSEEN in effect.evidence
        ),
    },
)
def graph(state: NamespaceState) -> Iterator[Finding]:
    """The operator says in the status of a graph whether it is ready, and why not.

    Fix: kubectl describe dynamographdeployment NAME
    """
    graphs = [*state.list_objects(*_GRAPHS)]
    if not graphs:
        raise Skip("no graph of Dynamo here")
    for each in graphs:
        if told := _describe_trouble(each):
            phase = each.state.partition(" ")[0]
            passing = each.terminating or phase in _PASSING or _is_progressing(state, each)
            judge = warn if passing else fail
            yield judge(
                told,
                fix=_choose_stage_fix(state, each),
                subject=make_subject(state, each.key),
                evidence=describe_owners(each)
                | _find_missing_workers(state, each)
                | ({_UNSEEN: True} if _is_unseen(each) else {}),
            )
        yield from _judge_roles(state, each)


def _choose_stage_fix(state: NamespaceState, each: DeployedObject) -> str:
    """What to do about the first stage that has failed; to look at the object, where it has no stages."""
    stages = (name for name in _STAGES if (c := each.get_condition(name)) and c.status == "False")
    fix = _STAGES.get(next(stages, ""), f"kubectl describe {each.key.kind.lower()} {{name}} -n {{namespace}}")
    return fix.format(name=each.key.name, namespace=state.namespace)


def _find_missing_workers(state: NamespaceState, each: DeployedObject) -> dict[str, list[str]]:
    """The graphs without a ready worker, for a model that has no endpoints."""
    if each.key.kind != _MODEL or each.ready:
        return {}
    serving = {owner for pod in state.pods if pod.is_ready for owner in pod.owners}
    graphs = [g for g in state.list_objects("DynamoGraphDeployment") if g.key not in serving]
    return {AWAITED: [str(graph.key) for graph in graphs]} if graphs else {}


def _is_unseen(each: DeployedObject) -> bool:
    """Whether the operator has not looked at it since it was changed."""
    return not each.observed or not (each.state or each.conditions)


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
    bad.sort(key=lambda c: _DECISIVE.index(c.type))
    stage = f" at {bad[0].type}" if bad and bad[0].type in _STAGES else ""
    return (
        f"{each.key} is {each.state or 'not ready'}{stage}{_describe_conditions(bad[:1] if stage else bad)}"
    )


def _describe_conditions(conditions: list[Condition]) -> str:
    told = [shorten(": ".join(filter(None, [c.reason, c.message]))) for c in conditions]
    return f": {'; '.join(told)}" if told else ""
