"""Reads what runs in a namespace: graphs and the objects that carry them out, pods, events, nodes."""

import datetime
import hashlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.core.errors import UsageError
from dynocheck.facts import (
    Access,
    ContainerState,
    DeployedObject,
    DeployedPod,
    HostState,
    NamespaceState,
    ObjectEvent,
    ObjectKey,
    PoolState,
    PortState,
)
from dynocheck.kube import Cluster, KubeError, run_parallel
from dynocheck.probes._k8s_types import make_conditions
from dynocheck.probes._listing import list_first
from dynocheck.probes.symptom._types import (
    ListedConfigMap,
    ListedContainer,
    ListedContainerStatus,
    ListedEvent,
    ListedMeta,
    ListedNode,
    ListedObject,
    ListedPod,
    ListedPool,
)
from dynocheck.secrets import HIDDEN, is_secret_name

if TYPE_CHECKING:
    from dynocheck.serving import Endpoint


class DiagnosisTarget(NamedTuple):
    """What is diagnosed: the name of a graph, or KIND/NAME as in kubectl; empty for the whole namespace.

    `prometheus` is the server that has the metrics of the pods; the pods are asked if there is none.
    """

    text: str = ""
    prometheus: "Endpoint | None" = None


class _Kind(NamedTuple):
    """A kind of object: where it is served, by the paths of its versions, the newest first."""

    name: str
    resource: str
    groups: tuple[str, ...]

    @property
    def access(self) -> Access:
        path = self.groups[0].split("/")
        return Access("list", self.resource, path[2] if path[1] == "apis" else "", local=True)


_DYNAMO = ("/apis/nvidia.com/v1beta1", "/apis/nvidia.com/v1alpha1")
_GROVE = ("/apis/grove.io/v1alpha1",)
_APPS = ("/apis/apps/v1",)
_KINDS = (
    _Kind("DynamoGraphDeployment", "dynamographdeployments", _DYNAMO),
    _Kind("DynamoGraphDeploymentRequest", "dynamographdeploymentrequests", _DYNAMO),
    _Kind("DynamoComponentDeployment", "dynamocomponentdeployments", _DYNAMO),
    _Kind("DynamoModel", "dynamomodels", _DYNAMO),
    _Kind("PodCliqueSet", "podcliquesets", _GROVE),
    _Kind("PodCliqueScalingGroup", "podcliquescalinggroups", _GROVE),
    _Kind("PodClique", "podcliques", _GROVE),
    _Kind(
        "LeaderWorkerSet",
        "leaderworkersets",
        ("/apis/leaderworkerset.x-k8s.io/v1",),
    ),
    _Kind("Deployment", "deployments", _APPS),
    _Kind("ReplicaSet", "replicasets", _APPS),
    _Kind("StatefulSet", "statefulsets", _APPS),
    _Kind("Job", "jobs", ("/apis/batch/v1",)),
    _Kind("PersistentVolumeClaim", "persistentvolumeclaims", ("/api/v1",)),
)
_POOLS = _Kind(
    "InferencePool",
    "inferencepools",
    ("/apis/inference.networking.k8s.io/v1", "/apis/inference.networking.x-k8s.io/v1alpha2"),
)
_SERVICES = _Kind("Service", "services", ("/api/v1",))
_GATEWAY_API = ("/apis/gateway.networking.k8s.io/v1",)
# What leads to pods, scales or schedules them. Who may not list them is told that they are not judged.
_OPTIONAL_KINDS = (
    _SERVICES,
    _Kind("Gateway", "gateways", _GATEWAY_API),
    _Kind("HTTPRoute", "httproutes", _GATEWAY_API),
    _POOLS,
    _Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", ("/apis/autoscaling/v2",)),
    _Kind("ScaledObject", "scaledobjects", ("/apis/keda.sh/v1alpha1",)),
    _Kind("DynamoGraphDeploymentScalingAdapter", "dynamographdeploymentscalingadapters", _DYNAMO),
    _Kind("PodGroup", "podgroups", ("/apis/scheduling.run.ai/v2alpha2",)),
)
_READ_KINDS = {each.name.lower() for each in (*_KINDS, *_OPTIONAL_KINDS)} | {"pod", "node"}
# What changes while a deployment is rolled out, by the path of its API and its resource.
WATCHED = (("/api/v1", "pods"), ("/api/v1", "events"), *((kind.groups[0], kind.resource) for kind in _KINDS))
_PODS = Access("list", "pods", local=True)
_EVENTS = Access("list", "events", local=True)
_NODES = Access("list", "nodes")
_CONFIG_MAPS = Access("list", "configmaps", local=True)
_NODE_EVENTS = "events of nodes"
# Labels that name what an object belongs to, where no owner does.
_LABELED = {
    "nvidia.com/dynamo-graph-deployment-name": "DynamoGraphDeployment",
    "dgdr.nvidia.com/name": "DynamoGraphDeploymentRequest",
}
_GROUP = "pod-group-name"
_TYPE_LABELS = ("nvidia.com/dynamo-sub-component-type", "nvidia.com/dynamo-component-type")
_DEPTH = 20
_NODE_SETTINGS = (
    *("kubeletVersion", "kernelVersion", "osImage", "containerRuntimeVersion"),
    *("nvidia.com/gpu.product", "nvidia.com/gpu.count", "nvidia.com/cuda.driver-version.full"),
    *("nvidia.com/cuda.driver.major", "nvidia.com/cuda.driver.minor", "nvidia.com/cuda.driver.rev"),
)
_EXTENDED = ("cpu", "memory", "ephemeral-storage")
_SHORT = {
    "dgd": "DynamoGraphDeployment",
    "dgdr": "DynamoGraphDeploymentRequest",
    "deploy": "Deployment",
    "rs": "ReplicaSet",
    "sts": "StatefulSet",
    "po": "Pod",
    "pvc": "PersistentVolumeClaim",
    "lws": "LeaderWorkerSet",
    "pcs": "PodCliqueSet",
    "pclq": "PodClique",
    "pcsg": "PodCliqueScalingGroup",
    "isvc": "InferenceService",
    "svc": "Service",
    "gtw": "Gateway",
    "hpa": "HorizontalPodAutoscaler",
    "so": "ScaledObject",
    "dgdsa": "DynamoGraphDeploymentScalingAdapter",
}


@probe(
    access=[
        _PODS,
        _EVENTS,
        Access("list", "events"),  # of nodes, in the namespace default
        _NODES,
        _CONFIG_MAPS,
        *(kind.access for kind in (*_KINDS, *_OPTIONAL_KINDS)),
    ]
)
def namespace_state(cluster: Cluster, target: DiagnosisTarget) -> NamespaceState:
    """Pods must be readable; what else cannot be read is named in the fact."""
    namespace = cluster.connection.namespace
    unread: dict[str, str] = {}
    unlisted: dict[str, str] = {}
    core = f"/api/v1/namespaces/{namespace}"
    reads: dict[str, Callable[[], Any]] = {
        kind.resource: partial(_list_kind, cluster, kind, namespace) for kind in _KINDS
    }
    reads["events"] = partial(cluster.items, f"{core}/events", ListedEvent)
    reads["nodes"] = partial(cluster.items, "/api/v1/nodes", ListedNode)
    calls = [partial(_try_read, name, read, unread) for name, read in reads.items()]
    optional: dict[str, Callable[[], Any]] = {
        kind.resource: partial(_list_kind, cluster, kind, namespace) for kind in _OPTIONAL_KINDS
    }
    optional[_NODE_EVENTS] = partial(_list_node_events, cluster)
    calls += [partial(_try_read, name, read, unlisted) for name, read in optional.items()]
    read_config_maps = partial(
        cluster.list_mapped, f"{core}/configmaps", ListedConfigMap, _convert_config_map
    )
    pods, config_maps, *lists = run_parallel(
        [partial(cluster.items, f"{core}/pods", ListedPod), partial(_read_or_none, read_config_maps), *calls]
    )
    found = dict(zip((*reads, *optional), lists, strict=True))
    objects = {
        ObjectKey(kind.name, each.metadata.name): each
        for kind in (*_KINDS, *_OPTIONAL_KINDS)
        for each in found[kind.resource]
    }
    state = NamespaceState(
        namespace=namespace,
        taken=format_now(),
        objects=tuple(_convert_object(key, each, objects, pods) for key, each in objects.items()),
        pods=tuple(convert_pod(pod, objects) for pod in pods),
        events=tuple(_convert_events([*found["events"], *found[_NODE_EVENTS]])),
        hosts=tuple(_convert_node(node) for node in found["nodes"]),
        pools=tuple(_list_pools(cluster, namespace, pods, found[_SERVICES.resource], unlisted))
        if found[_POOLS.resource]
        else (),
        unread=unread,
        unlisted=unlisted,
        config_maps=None if config_maps is None else tuple(config_maps),
    )
    return narrow(state, target.text)


def _try_read(name: str, read: Callable[[], Any], unread: dict[str, str]) -> Any:
    """What is read; nothing if it cannot be, and then the reason is noted."""
    try:
        return read()
    except KubeError as error:
        unread[name] = str(error)
        return []


def _read_or_none(read: Callable[[], Any]) -> Any:
    """What is read; None if it cannot be: nobody's verdict needs it."""
    try:
        return read()
    except KubeError:
        return None


def _list_node_events(cluster: Cluster) -> list[ListedEvent]:
    """What kubelets and node-problem-detector say of nodes, which is in the namespace default."""
    path, about = "/api/v1/namespaces/default/events", "involvedObject.kind=Node"
    return cluster.items(path, ListedEvent, fieldSelector=about)


def _convert_config_map(each: ListedConfigMap) -> DeployedObject:
    """It with digests of its values, which may be secrets."""
    change = each.metadata.last_change
    values = (each.data or {}) | (each.binary_data or {})
    return DeployedObject(
        key=ObjectKey("ConfigMap", each.metadata.name),
        created=each.metadata.creation_timestamp or "",
        settings={key: _digest(value) for key, value in values.items()},
        changed=change.time or "",
        changed_by=change.manager,
    )


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:12]}"


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a pod template by their path. Items of a list that have names go by them, words are one
    text, and the values of variables whose names are those of secrets are hidden.
    """
    if path.count(".") > _DEPTH:
        yield path, str(value)
    elif isinstance(value, dict) and value:
        if "value" in value and is_secret_name(str(value.get("name", ""))):
            value = value | {"value": HIDDEN}
        for name, each in value.items():
            yield from _flatten(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            yield from _flatten(
                each, f"{path}.{each.get('name', number) if isinstance(each, dict) else number}"
            )
    else:
        words = isinstance(value, list)
        yield path, shlex.join(map(str, value)) if words else str(value)


def _list_kind(cluster: Cluster, kind: _Kind, namespace: str) -> list[ListedObject]:
    """The objects of a kind; none if the API server does not serve it."""
    paths = (f"{group}/namespaces/{namespace}/{kind.resource}" for group in kind.groups)
    return list_first(cluster, paths, ListedObject) or []


def format_now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _list_owners(
    meta: ListedMeta, objects: Mapping[ObjectKey, ListedObject], target: ObjectKey | None = None
) -> tuple[ObjectKey, ...]:
    """The owners, the nearest first, as far up as the objects are known.

    :param target: what an autoscaler scales, which counts as its owner.
    """
    owners: list[ObjectKey] = []
    owner = target or meta.owner
    while owner is not None and owner not in owners:
        owners.append(owner)
        owner = objects[owner].metadata.owner if owner in objects else None
    for known in (meta, *(objects[owner].metadata for owner in owners if owner in objects)):
        for label, kind in _LABELED.items():
            key = ObjectKey(kind, (known.labels or {}).get(label, ""))
            if key not in owners and key in objects:
                owners.append(key)
    return tuple(owners)


def _list_pools(
    cluster: Cluster,
    namespace: str,
    pods: Sequence[ListedPod],
    services: Sequence[ListedObject],
    unlisted: Mapping[str, str],
) -> Iterator[PoolState]:
    """The pools with the pods that they and the Services of their pickers select."""
    paths = (f"{group}/namespaces/{namespace}/{_POOLS.resource}" for group in _POOLS.groups)
    found = list_first(cluster, paths, ListedPool) or []
    selectors = {each.metadata.name: each.spec.selector for each in services}
    for pool in found:
        picker = selectors.get(pool.spec.picker)
        yield PoolState(
            name=pool.metadata.name,
            members=_select(pods, pool.spec.labels),
            ports=pool.spec.ports,
            picker=pool.spec.picker,
            picker_pods=_select(pods, picker) if pool.spec.picker in selectors else None,
            services_read=_SERVICES.resource not in unlisted,
        )


def _select(pods: Iterable[ListedPod], labels: Mapping[str, str] | None) -> tuple[str, ...]:
    """The pods that have these labels; none without labels."""
    wanted = (labels or {}).items()
    return tuple(
        pod.metadata.name for pod in pods if wanted and wanted <= (pod.metadata.labels or {}).items()
    )


def _convert_object(
    key: ObjectKey,
    each: ListedObject,
    objects: Mapping[ObjectKey, ListedObject],
    pods: Sequence[ListedPod],
) -> DeployedObject:
    meta, spec, status = each.metadata, each.spec, each.status
    desired, created, ready = spec.replicas, status.replicas, status.ready_replicas
    if key.kind == "Job":
        desired = spec.completions or spec.parallelism or 1
        created, ready = (status.active or 0) + (status.succeeded or 0), status.ready or status.succeeded
    elif key.kind == "DynamoModel":
        desired, ready = status.total_endpoints, status.ready_endpoints
    elif key.kind in ("Deployment", "ReplicaSet", "StatefulSet") and desired is None:
        desired = 1
    return DeployedObject(
        key=key,
        owners=_list_owners(meta, objects, spec.scale_target_ref),
        created=meta.creation_timestamp or "",
        state=" ".join(filter(None, [status.state or status.phase, status.profiling_phase])),
        conditions=make_conditions(status.all_conditions),
        desired=desired,
        created_pods=created,
        ready=ready or 0,
        observed=status.observed_generation is None or status.observed_generation >= meta.generation,
        storage_class=spec.storage_class_name,
        terminating=bool(meta.deletion_timestamp),
        settings=dict(_flatten(spec.pod_template)) if spec.pod_template else {},
        changed=meta.last_change.time or "",
        changed_by=meta.last_change.manager,
        component=_find_component(meta.labels or {}),
        refers=tuple(spec.list_references(meta.namespace)),
        selects=_select(pods, spec.selector) if key.kind == _SERVICES.name and spec.selector else None,
    )


def convert_pod(pod: ListedPod, objects: Mapping[ObjectKey, ListedObject]) -> DeployedPod:
    meta, spec, status = pod.metadata, pod.spec, pod.status
    statuses = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    by_name = {each.name: each for each in statuses}
    volumes = (volume.persistent_volume_claim for volume in spec.volumes or ())
    return DeployedPod(
        name=meta.name,
        owners=_list_owners(meta, objects),
        created=meta.creation_timestamp or "",
        phase=status.phase,
        reason=status.reason,
        message=status.message,
        node=spec.node_name,
        scheduler=spec.scheduler_name,
        gates=tuple(gate.name for gate in spec.scheduling_gates or ()),
        terminating=bool(meta.deletion_timestamp),
        deleted=meta.deletion_timestamp or "",
        finalizers=tuple(meta.finalizers or ()),
        conditions=make_conditions(status.conditions),
        containers=(
            *(_convert_container(c, by_name.get(c.name), init=True) for c in spec.init_containers or ()),
            *(_convert_container(c, by_name.get(c.name), init=False) for c in spec.containers),
        ),
        claims=tuple(volume.claim_name for volume in volumes if volume is not None),
        requests=_sum_requests(spec.containers),
        component=_find_component(meta.labels or {}),
        metrics=_find_metrics(meta.annotations or {}),
        group=(meta.annotations or {}).get(_GROUP, ""),
    )


def _convert_container(
    spec: ListedContainer, status: ListedContainerStatus | None, *, init: bool
) -> ContainerState:
    status = status or ListedContainerStatus(spec.name)
    waiting, running, ended = status.state.waiting, status.state.running, status.state.terminated
    previous = status.last_state.terminated
    probes = {
        "startup": spec.startup_probe,
        "liveness": spec.liveness_probe,
        "readiness": spec.readiness_probe,
    }
    return ContainerState(
        name=spec.name,
        image=spec.image,
        init=init,
        sidecar=init and spec.restart_policy == "Always",
        ready=status.ready,
        started=bool(status.started),
        running_since=(running.started_at or "") if running else "",
        waiting=waiting.reason if waiting else "",
        message=waiting.message if waiting else "",
        ended=ended.convert() if ended else None,
        previous=previous.convert() if previous else None,
        restarts=status.restart_count,
        memory_limit=str((spec.resources.limits or {}).get("memory", "")),
        probes=tuple(name for name, each in probes.items() if each is not None),
        startup_s=spec.startup_probe.budget_s if spec.startup_probe else None,
        probe_ports={name: each.port for name, each in probes.items() if each is not None and each.port},
        ports=tuple(PortState(port.container_port, port.name) for port in spec.ports or ()),
    )


def _find_component(labels: Mapping[str, str]) -> str:
    """The type of a pod in its graph; the role of a worker, prefill or decode, counts before its type."""
    return next((labels[label] for label in _TYPE_LABELS if labels.get(label)), "")


def _find_metrics(annotations: Mapping[str, str]) -> str:
    """Where annotations say that metrics are served, as PORT/PATH."""
    port, path = annotations.get("prometheus.io/port", ""), annotations.get("prometheus.io/path", "/metrics")
    is_served = port.isdecimal() and annotations.get("prometheus.io/scrape", "true") == "true"
    return f"{port}/{path.lstrip('/')}" if is_served else ""


def _sum_requests(containers: Iterable[ListedContainer]) -> dict[str, int]:
    """The extended resources that containers ask for, such as nvidia.com/gpu, in whole numbers."""
    total: dict[str, int] = {}
    for container in containers:
        for name, value in (container.resources.limits or {}).items():
            if name not in _EXTENDED and str(value).isdecimal():
                total[name] = total.get(name, 0) + int(value)
    return total


def _convert_events(events: Sequence[ListedEvent]) -> Iterator[ObjectEvent]:
    """The events, those alike as one."""
    alike: dict[tuple[ObjectKey, str, str, str], list[ListedEvent]] = {}
    for event in events:
        alike.setdefault((event.involved_object, event.type, event.reason, event.message), []).append(event)
    for (about, type_, reason, message), group in alike.items():
        yield ObjectEvent(
            about=about,
            type=type_,
            reason=reason,
            message=message,
            count=sum((e.series.count if e.series else e.count) or 1 for e in group),
            last=max(e.last for e in group),
        )


def _convert_node(node: ListedNode) -> HostState:
    known = (node.status.node_info or {}) | (node.metadata.labels or {})
    return HostState(
        name=node.metadata.name,
        conditions=make_conditions(node.status.conditions),
        created=node.metadata.creation_timestamp or "",
        settings={name: str(known[name]) for name in _NODE_SETTINGS if name in known},
    )


def narrow(state: NamespaceState, text: str) -> NamespaceState:
    """The part of the state that belongs to the target, with the claims and nodes of its pods.

    :raises Unavailable: there is no such object, or nothing at all.
    """
    if not (state.objects or state.pods or state.unread):
        raise Unavailable(f"nothing runs in namespace {state.namespace}", fix="name another by --namespace")
    target = _find_target(state, text) if text else None
    selected = next((each.selects for each in state.objects if each.key == target and each.selects), ())
    pods = [p for p in state.pods if target is None or p.name in selected or target in (p.key, *p.owners)]
    belonging = {ObjectKey("PersistentVolumeClaim", claim) for pod in pods for claim in pod.claims}
    belonging |= {owner for pod in pods if pod.name in selected for owner in pod.owners}
    objects = [
        o for o in state.objects if target is None or target in (o.key, *o.owners) or o.key in belonging
    ]
    hosts = {pod.node for pod in pods}
    known = {*(pod.key for pod in pods), *(each.key for each in objects)}
    known |= {ObjectKey("Node", name) for name in hosts}
    return msgspec.structs.replace(
        state,
        target=str(target) if target else "",
        objects=tuple(objects),
        pods=tuple(pods),
        events=tuple(event for event in state.events if event.about in known),
        hosts=tuple(host for host in state.hosts if host.name in hosts),
        pools=tuple(pool for pool in state.pools if ObjectKey(_POOLS.name, pool.name) in known),
    )


def _find_target(state: NamespaceState, text: str) -> ObjectKey:
    """The object that is meant.

    :raises Unavailable: there is none, or several.
    :raises UsageError: the kind is none of those that are read, and nothing that was read belongs to one.
    """
    kind, slash, name = text.rpartition("/")
    kind = kind.lower().partition(".")[0]  # as in deployments.apps/NAME
    kind = _SHORT.get(kind, kind).lower()
    chains = [(each.key, *each.owners) for each in state.objects]
    chains += [(pod.key, *pod.owners) for pod in state.pods]
    # An owner counts although its kind is not read, such as KServe's InferenceService.
    owners = (owner for chain in chains for owner in chain[1:])
    known = [*dict.fromkeys((*(chain[0] for chain in chains), *owners))]
    if slash:
        found = [
            key for key in known if key.name == name and kind in (key.kind.lower(), f"{key.kind.lower()}s")
        ]
    else:
        named = [key for key in known if key.name == name]
        found = [key for key in named if key.kind == "DynamoGraphDeployment"] or named[:1]
    if not found:
        kinds = {*_READ_KINDS, *(key.kind.lower() for key in known)}
        if slash and not state.unread and not {kind, kind.removesuffix("s")} & kinds:
            raise UsageError(f"{text}: not of the form KIND/NAME, with {', '.join(_SHORT)} or another kind")
        graphs = ", ".join(key.name for key in known if key.kind == "DynamoGraphDeployment")
        there = f"; its graphs are {graphs}" if graphs else ""
        raise Unavailable(f"namespace {state.namespace} has no {text}{there}", fix="kubectl get dgd,deploy")
    return found[0]
