"""Finds the endpoint of a workload without Dynamo: the Service that selects its pods, or else a pod of it."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from dynocheck.core.errors import UsageError
from dynocheck.facts import Access, Address, Rollout
from dynocheck.kube import Cluster, Forbidden, NotFound
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition

BY_PROXY = "the API server's proxy"
BY_DNS = "the cluster's DNS"
_KSERVE_LABEL = "serving.kserve.io/inferenceservice"
_LWS_LABEL = "leaderworkerset.sigs.k8s.io/name"
_LEADER_LABEL = "leaderworkerset.sigs.k8s.io/worker-index"
_KEYS = ("VLLM_API_KEY", "API_KEY", "LLAMA_API_KEY", "SGLANG_API_KEY")  # variables with a server's API key
_OTHER_PORTS = ("grpc", "metrics")


class WorkloadKind(NamedTuple):
    """A kind of workload, where it is served, and its other names on the command line."""

    name: str
    group: str  # as in a path, such as apis/apps/v1
    resource: str
    short: str

    @property
    def access(self) -> Access:
        group = self.group.split("/")[1] if self.group.startswith("apis/") else ""
        return Access("get", self.resource, group, local=True)


KINDS = (
    WorkloadKind("Deployment", "apis/apps/v1", "deployments", "deploy"),
    WorkloadKind("StatefulSet", "apis/apps/v1", "statefulsets", "sts"),
    WorkloadKind("LeaderWorkerSet", "apis/leaderworkerset.x-k8s.io/v1", "leaderworkersets", "lws"),
    WorkloadKind("InferenceService", "apis/serving.kserve.io/v1beta1", "inferenceservices", "isvc"),
    WorkloadKind("Service", "api/v1", "services", "svc"),
)
RIGHTS = (
    *(kind.access for kind in KINDS),
    *(Access("list", resource, local=True) for resource in ("pods", "services")),
    *(
        Access(verb, resource, local=True)
        for verb in ("create", "get")
        for resource in ("pods/proxy", "services/proxy")
    ),
)
"""The permissions to find a workload's endpoint, and to send requests to it."""


class _Port(msgspec.Struct, rename="camel"):
    name: str = ""
    port: int = 0
    container_port: int = 0


class _SecretKey(msgspec.Struct):
    name: str = ""
    key: str = ""


class _Source(msgspec.Struct, rename="camel"):
    secret_key_ref: _SecretKey | None = None


class _Variable(msgspec.Struct, rename="camel"):
    name: str
    value_from: _Source | None = None


class _Container(msgspec.Struct):
    image: str = ""
    ports: list[_Port] | None = None
    env: list[_Variable] | None = None


class _PodSpec(msgspec.Struct):
    containers: list[_Container] | None = None


class _Template(msgspec.Struct):
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _GroupTemplate(msgspec.Struct, rename="camel"):
    """What a LeaderWorkerSet makes its groups of; leaders are like workers if nothing else is said."""

    worker_template: _Template = msgspec.field(default_factory=_Template)
    leader_template: _Template | None = None


class _Spec(msgspec.Struct, rename="camel"):
    replicas: int | None = None
    template: _Template = msgspec.field(default_factory=_Template)
    leader_worker_template: _GroupTemplate = msgspec.field(default_factory=_GroupTemplate)
    ports: list[_Port] | None = None
    selector: dict[str, Any] | None = None
    type: str = ""
    cluster_ip: str = msgspec.field(default="", name="clusterIP")


class _Status(msgspec.Struct, rename="camel"):
    observed_generation: int = 0
    updated_replicas: int | None = None
    url: str = ""
    conditions: list[StatusCondition] | None = None


class _Object(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Secret(msgspec.Struct):
    data: dict[str, str] | None = None


class _PodStatus(msgspec.Struct, rename="camel"):
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[StatusCondition] | None = None


class _Pod(msgspec.Struct):
    metadata: ObjectMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


def find_workload_address(cluster: Cluster, reference: str, *, by_dns: bool) -> Address:
    """The address of a workload's server.

    :param reference: KIND/NAME, as in kubectl.
    :param by_dns: by names of the cluster's DNS, instead of the API server's proxy.
    :raises UsageError: there is no such kind or object.
    """
    kind, found = _get_workload(cluster, reference)
    namespace = cluster.connection.namespace
    template = _get_template(kind, found)
    address = Address(
        url="",
        kind=kind.name,
        deployment=f"{namespace}/{found.metadata.name}",
        key_secret=_find_key(template),
    )
    if kind.name == "Service":
        return _complete_by_service(address, cluster, found, by_dns=by_dns)
    pods = _list_pods(cluster, template.metadata.labels or {})
    services = cluster.items(f"/api/v1/namespaces/{namespace}/services", _Object)
    labels = [pod.metadata.labels or {} for pod in pods] or [template.metadata.labels or {}]
    service = _choose_service(services, labels, found.metadata.name)
    if service is not None:
        address = _complete_by_service(address, cluster, service, by_dns=by_dns)
    elif (pod := next(filter(_is_ready, pods), None)) is not None:
        address = _complete_by_pod(address, cluster, pod, by_dns=by_dns)
    else:
        where = f"; its own address is {found.status.url}" if found.status.url else ""
        return replace(address, missing=f"no Service selects its pods, and none of its pods is ready{where}")
    return _add_base_path(address, pods)


def find_workload_rollout(cluster: Cluster, reference: str) -> Rollout:
    """How far the last change of a workload has come, by its status; Services have none.

    :raises UsageError: there is no such kind or object.
    """
    kind, found = _get_workload(cluster, reference)
    conditions = {c.type: c for c in found.status.conditions or ()}
    stuck = conditions.get("Progressing", StatusCondition())
    ready = conditions.get("Ready", StatusCondition())
    wanted = 1 if found.spec.replicas is None else found.spec.replicas
    updated = found.status.updated_replicas or 0
    state, reason = "", ""
    if kind.name == "InferenceService" and ready.status:
        state, reason = "successful" if ready.status == "True" else "pending", ready.message
    elif kind.name not in ("InferenceService", "Service"):
        state = "successful" if updated >= wanted else "pending"
        reason = f"{updated} of {wanted} replicas updated"
    if kind.name == "Deployment" and stuck.status == "False":
        state, reason = "failed", ": ".join(filter(None, (stuck.reason, stuck.message)))
    return Rollout(
        kind=kind.name,
        name=found.metadata.name,
        namespace=cluster.connection.namespace,
        state=state,
        seen=not 0 < found.status.observed_generation < found.metadata.generation,
        reason=reason,
    )


def _get_workload(cluster: Cluster, reference: str) -> tuple[WorkloadKind, _Object]:
    word, _, name = reference.partition("/")
    names = {known: kind for kind in KINDS for known in (kind.name.lower(), kind.resource, kind.short)}
    kind = names.get(word.partition(".")[0].lower())
    if kind is None or not name or "/" in name:
        raise UsageError(f"{reference}: not of the form KIND/NAME, with {', '.join(k.short for k in KINDS)}")
    namespace = cluster.connection.namespace
    try:
        path = f"/{kind.group}/namespaces/{quote(namespace)}/{kind.resource}/{quote(name)}"
        return kind, cluster.get(path, _Object)
    except NotFound:
        raise UsageError(f"namespace {namespace}: no {kind.name} {name}") from None


def _get_template(kind: WorkloadKind, found: _Object) -> _Template:
    """The pods that serve, with the labels that their controller adds."""
    name = found.metadata.name
    if kind.name == "LeaderWorkerSet":
        group = found.spec.leader_worker_template
        template, added = (
            group.leader_template or group.worker_template,
            {_LWS_LABEL: name, _LEADER_LABEL: "0"},
        )
    elif kind.name == "InferenceService":
        template, added = _Template(), {_KSERVE_LABEL: name}
    else:
        template, added = found.spec.template, {}
    labels = {**(template.metadata.labels or {}), **added}
    return _Template(replace(template.metadata, labels=labels), template.spec)


def _choose_service(
    services: Iterable[_Object], pods: Sequence[Mapping[str, str]], name: str
) -> _Object | None:
    """The Service that selects a pod with these labels: one with an address and this name before others."""

    def selects(service: _Object) -> bool:
        wanted = (service.spec.selector or {}).items()
        return bool(wanted) and any(wanted <= labels.items() for labels in pods)

    return min(
        filter(selects, services),
        key=lambda s: (s.spec.cluster_ip == "None", s.metadata.name != name, s.metadata.name),
        default=None,
    )


def _choose_port(ports: Iterable[_Port]) -> int | None:
    """The port named http, or else the first that is not named for something else."""
    ranked = sorted(ports, key=lambda p: (p.name != "http", any(other in p.name for other in _OTHER_PORTS)))
    return ranked[0].port or ranked[0].container_port if ranked else None


def _list_pods(cluster: Cluster, labels: Mapping[str, str]) -> list[_Pod]:
    """The pods with these labels; none without labels, which would be all of the namespace."""
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    path = f"/api/v1/namespaces/{cluster.connection.namespace}/pods"
    return cluster.items(path, _Pod, labelSelector=selector) if labels else []


def _is_ready(pod: _Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


def _find_key(template: _Template) -> str:
    """The Secret with the server's API key, as NAME/KEY; empty if the pods' variables name none."""
    for container in template.spec.containers or ():
        for variable in container.env or ():
            ref = variable.value_from.secret_key_ref if variable.value_from else None
            if variable.name in _KEYS and ref is not None:
                return f"{ref.name}/{ref.key}"
    return ""


def read_key_secret(cluster: Cluster, key_secret: str) -> str | None:
    """The API key in a Secret of the run's namespace, named as NAME/KEY; None if it cannot be read."""
    name, _, key = key_secret.partition("/")
    if not name:
        return None
    path = f"/api/v1/namespaces/{quote(cluster.connection.namespace)}/secrets/{quote(name)}"
    try:
        data = cluster.get(path, _Secret).data or {}
        return base64.b64decode(data.get(key, "")).decode().strip() or None
    except (NotFound, Forbidden, ValueError):
        return None


def _complete_by_service(address: Address, cluster: Cluster, service: _Object, *, by_dns: bool) -> Address:
    name, namespace = service.metadata.name, cluster.connection.namespace
    port = _choose_port(service.spec.ports or ())
    if port is None:
        return replace(address, missing=f"Service {name} has no port")
    if by_dns:
        return replace(address, url=f"http://{name}.{namespace}.svc:{port}", way=BY_DNS)
    return _complete_by_proxy(address, cluster, f"services/http:{name}:{port}")


def _complete_by_pod(address: Address, cluster: Cluster, pod: _Pod, *, by_dns: bool) -> Address:
    name = pod.metadata.name
    port = _choose_port([port for container in pod.spec.containers or () for port in container.ports or ()])
    if port is None:
        return replace(address, missing=f"no Service selects its pods, and pod {name} names no port")
    if by_dns:
        return replace(address, url=f"http://{pod.status.pod_ip}:{port}", way="the pod's address")
    return _complete_by_proxy(address, cluster, f"pods/http:{name}:{port}")


def _complete_by_proxy(address: Address, cluster: Cluster, target: str) -> Address:
    path = f"/api/v1/namespaces/{cluster.connection.namespace}/{target}/proxy"
    return replace(address, url=cluster.connection.server + path, way=BY_PROXY)


def _add_base_path(address: Address, pods: Iterable[_Pod]) -> Address:
    """KServe's own server has the OpenAI API below /openai."""
    images = [container.image for pod in pods for container in pod.spec.containers or ()]
    below = any("huggingfaceserver" in image for image in images)
    return replace(address, url=f"{address.url}/openai") if below and address.url else address
