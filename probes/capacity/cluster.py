"""Probes of the resources that running pods hold, and of the namespace's quotas and limit ranges."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, LimitRangeItem, NamespaceLimits, Quota, RunningPod, RunningPods
from dynocheck.kube import Cluster, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.scheduling.pod_spec_model import Shape, parse_shape

_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"


class _Resources(msgspec.Struct, omit_defaults=True):
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class _Port(msgspec.Struct, rename="camel", omit_defaults=True):
    host_port: int = 0
    container_port: int = 0
    protocol: str = "TCP"
    host_ip: str = msgspec.field(default="", name="hostIP")


class _Container(msgspec.Struct, rename="camel", omit_defaults=True):
    resources: _Resources = msgspec.field(default_factory=_Resources)
    restart_policy: str | None = None
    ports: list[_Port] | None = None


class _Affinity(msgspec.Struct, rename="camel", omit_defaults=True):
    pod_affinity: dict[str, Any] = {}
    pod_anti_affinity: dict[str, Any] = {}


class _ClaimRef(msgspec.Struct, rename="camel", omit_defaults=True):
    claim_name: str = ""


class _Volume(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str = ""
    persistent_volume_claim: _ClaimRef | None = None
    ephemeral: dict[str, Any] | None = None

    def get_claim(self, pod: str) -> str:
        """The name of its claim, empty if it has none; that of an ephemeral volume is made for its pod."""
        if self.persistent_volume_claim is not None:
            return self.persistent_volume_claim.claim_name
        return f"{pod}-{self.name}" if self.ephemeral is not None else ""


class _Spec(msgspec.Struct, rename="camel", omit_defaults=True):
    node_name: str = ""
    priority: int | None = None
    host_network: bool = False
    affinity: _Affinity | None = None
    overhead: dict[str, str] | None = None
    resources: _Resources | None = None
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None


class _Pod(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec


class _ScopeSelector(msgspec.Struct, rename="camel"):
    match_expressions: list[dict[str, Any]] | None = None


class _QuotaSpec(msgspec.Struct, rename="camel"):
    hard: dict[str, str] | None = None
    scopes: list[str] | None = None
    scope_selector: _ScopeSelector | None = None


class _QuotaStatus(msgspec.Struct):
    used: dict[str, str] | None = None


class _Quota(msgspec.Struct):
    metadata: ObjectMeta
    spec: _QuotaSpec = msgspec.field(default_factory=_QuotaSpec)
    status: _QuotaStatus = msgspec.field(default_factory=_QuotaStatus)


class _Item(msgspec.Struct, rename="camel"):
    type: str
    default: dict[str, str] | None = None
    default_request: dict[str, str] | None = None
    max: dict[str, str] | None = None
    min: dict[str, str] | None = None
    max_limit_request_ratio: dict[str, str] | None = None


class _RangeSpec(msgspec.Struct):
    limits: list[_Item] | None = None


class _Range(msgspec.Struct):
    metadata: ObjectMeta
    spec: _RangeSpec = msgspec.field(default_factory=_RangeSpec)


@probe(access=[Access("list", "pods")])
def running_pods(cluster: Cluster) -> RunningPods:
    """Pods that hold resources: those with a node that are not finished; the server filters the finished."""
    pods = cluster.list_mapped("/api/v1/pods", _Pod, _convert_pod, fieldSelector=_UNFINISHED)
    return RunningPods(tuple(pod for pod in pods if pod is not None))


def _convert_pod(pod: _Pod) -> RunningPod | None:
    spec, meta = pod.spec, pod.metadata
    if not spec.node_name:
        return None
    bare = msgspec.structs.replace(spec, node_name="", affinity=None, priority=None, volumes=None)
    shape = _parse_shape(msgspec.json.encode(bare))
    return RunningPod(
        namespace=meta.namespace,
        name=meta.name,
        node=spec.node_name,
        labels=meta.labels or {},
        requests=shape.requests,
        assumed=shape.assumed,
        priority=spec.priority or 0,
        terminating=bool(meta.deletion_timestamp),
        affinity=msgspec.to_builtins(spec.affinity) if spec.affinity else {},
        ports=shape.ports,
        claims=tuple(filter(None, (volume.get_claim(meta.name) for volume in spec.volumes or ()))),
    )


@lru_cache(maxsize=4096)
def _parse_shape(spec: bytes) -> Shape:
    """The shape of a pod spec in JSON, cached: replicas have equal specs, and exact sums are slow."""
    return parse_shape(msgspec.json.decode(spec), "")


@probe(access=[Access("list", resource, local=True) for resource in ("resourcequotas", "limitranges")])
def namespace_limits(cluster: Cluster) -> NamespaceLimits:
    namespace = cluster.connection.namespace
    base = f"/api/v1/namespaces/{namespace}"
    calls: list[Callable[[], Any]] = [
        partial(cluster.items, f"{base}/resourcequotas", _Quota),
        partial(cluster.items, f"{base}/limitranges", _Range),
    ]
    quotas, ranges = run_parallel(calls)
    return NamespaceLimits(
        namespace=namespace,
        quotas=tuple(_convert_quota(quota) for quota in quotas),
        limits=tuple(
            _convert_limit(limits.metadata.name, item)
            for limits in ranges
            for item in limits.spec.limits or ()
        ),
    )


def _convert_quota(quota: _Quota) -> Quota:
    selector = quota.spec.scope_selector
    return Quota(
        name=quota.metadata.name,
        hard=quota.spec.hard or {},
        used=quota.status.used or {},
        scopes=tuple(quota.spec.scopes or ()),
        scope_selector=tuple((selector.match_expressions if selector else None) or ()),
    )


def _convert_limit(name: str, item: _Item) -> LimitRangeItem:
    return LimitRangeItem(
        range=name,
        type=item.type,
        default=item.default or {},
        default_request=item.default_request or {},
        max=item.max or {},
        min=item.min or {},
        ratio=item.max_limit_request_ratio or {},
    )
