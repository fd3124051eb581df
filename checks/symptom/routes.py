"""Routes and pools of a gateway: which link between it and the pods is broken."""

from collections.abc import Iterator

from dynocheck import Finding, Result, Skip, check, fail, unjudged, warn
from dynocheck.checks.symptom._chain import describe_owners, make_subject, shorten
from dynocheck.facts import DeployedObject, DeployedPod, NamespaceState, ObjectKey, PoolState

_KINDS = ("Gateway", "HTTPRoute", "InferencePool")
_SERVICE = "Service"
_RESOURCES = {
    "Gateway": "gateways",
    "HTTPRoute": "httproutes",
    "InferencePool": "inferencepools",
    _SERVICE: "services",
}
_DECISIVE = ("Accepted", "ResolvedRefs", "Programmed")
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
    "ListenersNotValid": "kubectl get gateway -o yaml   # status.listeners: which one, and why",
    "InvalidCertificateRef": "kubectl get secrets   # correct certificateRefs of the Gateway's listener",
    "AddressNotAssigned": "kubectl get services -A   # whether a load balancer gives the Gateway an address",
    "NoResources": "kubectl get pods -A   # whether the pods of the Gateway have room to run",
}


_PODS = "pods"
_GATEWAYS = "gateways"


def _is_pod_of(cause: Finding, effect: Finding) -> bool:
    """The cause is about a pod that is not ready, for which the link of the effect is broken."""
    return cause.subject is not None and cause.subject.name in effect.evidence.get(_PODS, ())


def _is_gateway_of(cause: Finding, effect: Finding) -> bool:
    """The cause is about a Gateway, and the effect about a route by it that nobody has looked at."""
    return cause.subject is not None and cause.subject.name in effect.evidence.get(_GATEWAYS, ())


@check(
    "symptom.route",
    title="Routes and pools are attached",
    explained_by={
        "symptom.unscheduled": _is_pod_of,
        "symptom.image": _is_pod_of,
        "symptom.start": _is_pod_of,
        "symptom.crash": _is_pod_of,
        "symptom.not-ready": _is_pod_of,
        "symptom.ended": _is_pod_of,
        "symptom.route": _is_gateway_of,
    },
)
def route(state: NamespaceState) -> Iterator[Result]:
    """A request comes from a Gateway by an HTTPRoute to an InferencePool, whose endpoint picker takes a pod.

    Fix: kubectl describe httproute,inferencepool   # status.parents
    """
    found = [*state.list_objects(*_KINDS)]
    services = [*_list_services(state)]
    unlisted = {name: state.unlisted[name] for name in _RESOURCES.values() if name in state.unlisted}
    if not found and not services and not unlisted:
        raise Skip("no route and no pool here")
    for resource, reason in unlisted.items():
        yield unjudged(resource, why=f"they cannot be read: {reason}", needs="dynocheck rbac --diagnose")
    for each in found:
        yield from _judge_link(state, each)
    for each in services:
        yield from _judge_service(state, each)
    for pool in state.pools:
        yield from _judge_picker(state, pool)
        yield from _judge_members(state, pool)


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
    if each.key.kind != "InferencePool" and not any(c.status in ("True", "False") for c in each.conditions):
        yield from _judge_unseen(state, each)


def _judge_unseen(state: NamespaceState, each: DeployedObject) -> Iterator[Finding]:
    """A route or Gateway that no controller has looked at: because what it names is not there, or else."""
    subject, route = make_subject(state, each.key), each.key.kind == "HTTPRoute"
    gateways = [key.name for key in each.refers if key.kind == "Gateway"]
    if missing := [*_list_missing(state, each)]:
        resources = ",".join(dict.fromkeys(_RESOURCES[key.kind] for key in missing))
        yield fail(
            f"{each.key}: there is no {', no '.join(map(str, missing))}",
            fix=f"kubectl get {resources} -n {state.namespace}   # and correct the route",
            subject=subject,
        )
        return
    classes = "kubectl get gatewayclasses   # whether its class exists, and the controller of that runs"
    parents = "kubectl get gateways -A   # whether its parentRefs name one, and its controller runs"
    yield warn(
        f"{each.key}: no {'gateway' if route else 'controller'} has looked at it",
        fix=parents if route else classes,
        subject=subject,
        evidence=describe_owners(each) | {_GATEWAYS: gateways},
    )


def _list_missing(state: NamespaceState, route: DeployedObject) -> Iterator[ObjectKey]:
    """What a route names of this namespace that is not there."""
    known = {each.key for each in state.objects}
    for key in route.refers:
        resource = _RESOURCES.get(key.kind)
        if resource and resource not in state.unlisted and key not in known and not state.target:
            yield key


def _list_services(state: NamespaceState) -> Iterator[DeployedObject]:
    """The Services that requests take: the one that is diagnosed, and the backends of routes."""
    taken = {key for route in state.list_objects("HTTPRoute") for key in route.refers}
    for each in state.list_objects(_SERVICE):
        if each.selects is not None and (each.key in taken or str(each.key) == state.target):
            yield each


def _judge_service(state: NamespaceState, service: DeployedObject) -> Iterator[Finding]:
    pods = _find_pods(state, service.selects or ())
    subject = make_subject(state, service.key)
    if not service.selects:
        fix = (
            f"kubectl get pods -n {state.namespace} --show-labels   # and correct the selector of the Service"
        )
        yield fail(f"{service.key}: its selector matches no pod", fix=fix, subject=subject)
    elif not any(pod.is_ready for pod in pods):
        yield fail(
            f"{service.key}: none of its {len(pods)} pods is ready",
            fix=f"kubectl get endpointslices -l kubernetes.io/service-name={service.key.name} "
            f"-n {state.namespace}",
            subject=subject,
            evidence={_PODS: [pod.name for pod in pods]},
        )


def _judge_picker(state: NamespaceState, pool: PoolState) -> Iterator[Result]:
    """Whether the pool's endpoint picker answers; a gateway asks it for each request."""
    key = ObjectKey("InferencePool", pool.name)
    told = f"{key}: its endpoint picker, Service {pool.picker},"
    look = f"kubectl get service,endpointslices -n {state.namespace}   # and endpointPickerRef of the pool"
    subject = make_subject(state, key)
    if not pool.picker:
        return
    if not pool.services_read:
        yield unjudged(
            f"the endpoint picker of {key}", why="Services cannot be read", needs="list on services"
        )
    elif pool.picker_pods is None:
        if not _is_told(state, key):
            yield fail(f"{told} does not exist", fix=look, subject=subject)
    elif not pool.picker_pods:
        yield fail(f"{told} selects no pod", fix=look, subject=subject)
    elif (pods := _find_pods(state, pool.picker_pods)) and not any(pod.is_ready for pod in pods):
        yield fail(
            f"{told} has no ready pod",
            fix=f"kubectl logs {pods[0].name} -n {state.namespace}",
            subject=subject,
            evidence={_PODS: [pod.name for pod in pods]},
        )


def _judge_members(state: NamespaceState, pool: PoolState) -> Iterator[Finding]:
    """Whether the pool has pods to choose from; the picker drops those without its port silently."""
    key = ObjectKey("InferencePool", pool.name)
    subject = make_subject(state, key)
    pods = _find_pods(state, pool.members)
    deaf = [pod for pod in pods if _is_deaf(pod, pool)]
    if not pool.members:
        fix = f"kubectl get pods -n {state.namespace} --show-labels   # and correct the selector of the pool"
        yield fail(f"{key}: its selector matches no pod", fix=fix, subject=subject)
    elif pods and not any(pod.is_ready for pod in pods):
        yield fail(
            f"{key}: none of its {len(pods)} pods is ready",
            fix=f"dynocheck diagnose pod/{pods[0].name} -n {state.namespace}",
            subject=subject,
            evidence={_PODS: [pod.name for pod in pods]},
        )
    elif deaf:
        ports = ", ".join(map(str, pool.ports))
        judge = fail if len(deaf) == len(pods) else warn
        yield judge(
            f"{key}: {len(deaf)} of its {len(pods)} pods, such as {deaf[0].name}, lack its target port "
            f"{ports}: the endpoint picker leaves them out without a word",
            fix="correct targetPorts of the pool, or the ports of the containers",
            subject=subject,
        )


def _is_told(state: NamespaceState, key: ObjectKey) -> bool:
    """Whether a gateway already says of the pool that its picker cannot be found."""
    pools = (each for each in state.list_objects(key.kind) if each.key == key)
    return any(c.type == "ResolvedRefs" and c.status == "False" for pool in pools for c in pool.conditions)


def _find_pods(state: NamespaceState, names: tuple[str, ...]) -> list[DeployedPod]:
    return [pod for pod in state.pods if pod.name in names and not pod.has_ended]


def _is_deaf(pod: DeployedPod, pool: PoolState) -> bool:
    """Whether a pod declares ports, and none of the pool's."""
    declared = {port.number for container in pod.containers for port in container.ports}
    return bool(declared) and declared.isdisjoint(pool.ports)
