"""Routes and pools of a gateway: which link between it and the pods is broken."""

from collections.abc import Iterator

from dynocheck import Result, Skip, check, fail, unjudged, warn
from dynocheck.checks.symptom._chain import describe_owners, make_subject, shorten
from dynocheck.facts import DeployedObject, NamespaceState

_KINDS = ("HTTPRoute", "InferencePool")
_DECISIVE = ("Accepted", "ResolvedRefs")
# What to do, by the reason of the condition (Gateway API v1, InferencePool v1).
_FIXES = {
    "NotAllowedByListeners": "kubectl get gateway -A -o yaml   # allowedRoutes of its listeners",
    "NoMatchingListenerHostname": "compare hostnames of the route with those of the Gateway's listeners",
    "NoMatchingParent": "correct parentRefs of the route: port or sectionName names no listener",
    "RefNotPermitted": "create a ReferenceGrant in the namespace of what is referenced",
    "InvalidKind": "use a gateway that knows InferencePools, and the API group that it serves",
    "BackendNotFound": "kubectl get inferencepools,services   # correct backendRefs of the route",
    "InvalidExtensionRef": "kubectl get services   # correct endpointPickerRef of the pool: name, port",
    "EndpointPickerRefMissing": "set endpointPickerRef of the pool",
    "HTTPRouteNotAccepted": "kubectl describe httproute   # why its gateway does not accept it",
    "NotSupportedByParent": "use a gateway that knows InferencePools",
}


@check("symptom.route", title="Routes and pools are attached")
def route(state: NamespaceState) -> Iterator[Result]:
    """A request comes from a Gateway by an HTTPRoute to an InferencePool, whose endpoint picker takes a pod.

    Fix: kubectl describe httproute,inferencepool   # status.parents
    """
    found = [*state.list_objects(*_KINDS)]
    if not found and not state.unlisted:
        raise Skip("no route and no pool here")
    for resource, reason in state.unlisted.items():
        yield unjudged(resource, why=f"they cannot be read: {reason}", needs="dynocheck rbac --diagnose")
    for each in found:
        yield from _judge_link(state, each)


def _judge_link(state: NamespaceState, each: DeployedObject) -> Iterator[Result]:
    subject, evidence = make_subject(state, each.key), describe_owners(each)
    look = f"kubectl describe {each.key.kind.lower()} {each.key.name} -n {state.namespace}"
    bad = {c.type: c for c in each.conditions if c.type in _DECISIVE and c.status == "False"}
    for condition in bad.values():
        told = shorten(": ".join(filter(None, [condition.reason, condition.message])))
        yield fail(
            f"{each.key}: {condition.type} is False: {told}",
            fix=_FIXES.get(condition.reason, look),
            subject=subject,
            evidence=evidence,
        )
    if each.key.kind == "HTTPRoute" and not each.conditions:
        yield warn(
            f"{each.key}: no gateway has looked at it",
            fix="kubectl get gateways -A   # whether its parentRefs name one, and its controller runs",
            subject=subject,
            evidence=evidence,
        )
