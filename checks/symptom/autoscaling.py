"""Autoscalers that do not scale."""

from collections.abc import Iterator

from dynocheck import Finding, Result, Skip, check, fail, unjudged, warn
from dynocheck.checks.symptom._chain import AWAITED, describe_owners, is_waited_for, make_subject, shorten
from dynocheck.facts import Condition, DeployedObject, NamespaceState

_LIMIT = "ScalingLimited"
_HPA, _KEDA = "HorizontalPodAutoscaler", "ScaledObject"
_RESOURCES = ("horizontalpodautoscalers", "scaledobjects")
# The status that each condition has when something is wrong.
_BAD = {
    _HPA: {"AbleToScale": "False", "ScalingActive": "False", _LIMIT: "True"},
    _KEDA: {"Ready": "False", "Fallback": "True", "Paused": "True"},
}
# Reasons that are nobody's trouble: a target at zero replicas, or fewer wanted than the least.
_FINE = ("ScalingDisabled", "TooFewReplicas", "ScaledToZero")
_MISSING = "kubectl get {resource} {name} -n {namespace} -o yaml   # scaleTargetRef names what is not there"
_METRICS_SERVER = "kubectl get apiservice v1beta1.metrics.k8s.io   # and kubectl get pods -n kube-system"
_CUSTOM_METRICS = "kubectl get apiservice v1beta1.custom.metrics.k8s.io   # and the rules of its adapter"
_FIXES = {
    "FailedGetScale": _MISSING,
    "FailedUpdateScale": _MISSING,
    "FailedGetResourceMetric": f"{_METRICS_SERVER}; usage in percent needs requests in every container",
    "FailedGetPodsMetric": _CUSTOM_METRICS,
    "FailedGetObjectMetric": _CUSTOM_METRICS,
    "FailedGetExternalMetric": "kubectl get apiservice v1beta1.external.metrics.k8s.io   # KEDA's or another",
    "AmbiguousSelector": "kubectl get hpa -n {namespace}   # leave one for each workload",
    "TooManyReplicas": "raise maxReplicas, if there are GPUs",
}
_LOOK = "kubectl describe {resource} {name} -n {namespace}"


@check(
    "symptom.autoscaler",
    title="Autoscalers can scale",
    explained_by={
        **dict.fromkeys(
            (
                "symptom.unscheduled",
                "symptom.creation",
                "symptom.image",
                "symptom.start",
                "symptom.crash",
                "symptom.not-ready",
            ),
            is_waited_for,
        ),
        "symptom.autoscaler": is_waited_for,
    },
)
def autoscaler(state: NamespaceState) -> Iterator[Result]:
    """An autoscaler without its metric or its target leaves the replicas as they are, and from zero replicas
    nothing wakes a workload.

    Fix: kubectl describe hpa NAME   # its conditions
    """
    found = [*state.list_objects(_HPA, _KEDA)]
    unlisted = {name: state.unlisted[name] for name in _RESOURCES if name in state.unlisted}
    if not found and not unlisted:
        raise Skip("no autoscaler here")
    for resource, reason in unlisted.items():
        yield unjudged(resource, why=f"they cannot be read: {reason}", needs="dynocheck rbac --diagnose")
    for each in found:
        yield from _judge_autoscaler(state, each)


def _judge_autoscaler(state: NamespaceState, each: DeployedObject) -> Iterator[Finding]:
    """The first bad condition; it fails where it keeps a workload at zero replicas."""
    target = each.owners[0] if each.owners else None
    stopped = any(o.key == target and o.desired == 0 for o in state.objects)
    wrong = _BAD[each.key.kind]
    bad = [c for c in each.conditions if wrong.get(c.type) == c.status and c.reason not in _FINE]
    for condition in [c for c in bad if stopped or c.type != "Paused"][:1]:
        resource = "hpa" if each.key.kind == _HPA else "scaledobject"
        fix = _FIXES.get(condition.reason, _LOOK)
        trouble = f"does not scale {target}{' from 0 replicas' if stopped else ''}"
        trouble = "is at its limit" if condition.type == _LIMIT else trouble
        judge = fail if stopped else warn
        yield judge(
            f"{each.key} {trouble}: {_describe(condition)}",
            fix=fix.format(resource=resource, name=each.key.name, namespace=state.namespace),
            subject=make_subject(state, each.key),
            evidence=describe_owners(each) | {AWAITED: _list_awaited(state, each)},
        )


def _list_awaited(state: NamespaceState, each: DeployedObject) -> list[str]:
    """The workload whose pods give no metrics as long as none is ready, and the ScaledObject of an HPA."""
    target = each.owners[:1]
    unready = [str(o.key) for o in state.objects if o.key in target and o.desired and not o.ready]
    makers = (o for o in state.list_objects(_KEDA) if f"keda-hpa-{o.key.name}" == each.key.name)
    return [*unready, *(str(maker.key) for maker in makers)]


def _describe(condition: Condition) -> str:
    state = f"{condition.type} is {condition.status}"
    return shorten(": ".join(filter(None, [state, condition.reason, condition.message])))
