"""Pods that the API server does not let their controllers create."""

from collections.abc import Iterator

from dynocheck import Finding, check, fail
from dynocheck.checks.symptom._chain import describe_owners, make_subject, shorten
from dynocheck.data.cluster_messages import explain_message
from dynocheck.facts import DeployedObject, NamespaceState

_REASONS = ("FailedCreate", "PodCreateFailed", "PodCliqueCreateFailed", "PodGangCreateFailed")


@check("symptom.creation", title="Every pod can be created")
def creation(state: NamespaceState) -> Iterator[Finding]:
    """A pod that the API server refuses is never seen: only its controller's events say why.

    Fix: kubectl describe replicaset NAME   # the message of FailedCreate
    """
    for each in state.objects:
        if each.desired and (each.created_pods or 0) < each.desired and not each.terminating:
            yield from _judge_creation(state, each)


def _judge_creation(state: NamespaceState, each: DeployedObject) -> Iterator[Finding]:
    condition = each.get_condition("ReplicaFailure")
    told = state.list_events(each.key, *_REASONS)
    message = told[0].message if told else ""
    if not message and condition is not None and condition.status == "True" and each.key.kind == "ReplicaSet":
        message = condition.message
    if not message:
        return
    means, fix = explain_message("creation", message, namespace=state.namespace)
    yield fail(
        f"{each.key.kind} {each.key.name} cannot create its pods: {means or shorten(message)}",
        fix=fix or f"kubectl describe {each.key.kind.lower()} {each.key.name} -n {state.namespace}",
        subject=make_subject(state, each.key),
        evidence=describe_owners(each)
        | {"message": shorten(message), "wanted": each.desired, "created": each.created_pods or 0},
    )
