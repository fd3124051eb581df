"""Probes of the claims in the run's namespace with their events, and of those of etcd and NATS."""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import (
    Access,
    ClaimEvent,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    PlatformClaim,
    PlatformClaims,
)
from dynocheck.kube import Cluster, Forbidden, NotFound, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta
from dynocheck.probes.storage._stores import list_stopped

_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class _Meta(ObjectMeta):
    uid: str = ""


class _Resources(msgspec.Struct):
    requests: dict[str, str | int | float] | None = None


class _Spec(msgspec.Struct, rename="camel"):
    access_modes: list[str] | None = None
    storage_class_name: str | None = None
    resources: _Resources = msgspec.field(default_factory=_Resources)
    volume_name: str = ""


class _Status(msgspec.Struct):
    phase: str = ""
    capacity: dict[str, str | int | float] | None = None


class _Claim(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _SetSpec(msgspec.Struct, rename="camel"):
    replicas: int = 1
    volume_claim_templates: list[_Claim] | None = None


class _SetStatus(msgspec.Struct, rename="camel"):
    ready_replicas: int = 0


class _StatefulSet(msgspec.Struct):
    metadata: ObjectMeta
    spec: _SetSpec = msgspec.field(default_factory=_SetSpec)
    status: _SetStatus = msgspec.field(default_factory=_SetStatus)

    @property
    def claims(self) -> Iterator[str]:
        """The paths of its claims; of the templates that the charts have, if its own are unknown."""
        name, namespace = self.metadata.name, self.metadata.namespace
        templates = [each.metadata.name for each in self.spec.volume_claim_templates or ()]
        for template in templates or ("data", f"{name}-js"):
            for number in range(self.spec.replicas):
                claim = f"{template}-{name}-{number}"
                yield f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}"


class _Applied(msgspec.Struct):
    """The last-applied configuration that `kubectl apply` wrote."""

    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Involved(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _Series(msgspec.Struct, rename="camel"):
    last_observed_time: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    metadata: ObjectMeta
    involved_object: _Involved = msgspec.field(default_factory=_Involved)
    type: str = ""
    reason: str = ""
    message: str = ""
    last_timestamp: str | None = None
    event_time: str | None = None
    series: _Series | None = None

    @property
    def last(self) -> str:
        """The last time it happened (RFC 3339), from the first field that its reporter set."""
        series = self.series.last_observed_time if self.series else None
        return series or self.last_timestamp or self.event_time or self.metadata.creation_timestamp or ""


@probe(access=[Access("list", resource, local=True) for resource in ("persistentvolumeclaims", "events")])
def claims(cluster: Cluster) -> PersistentVolumeClaims:
    namespace = cluster.connection.namespace
    path = f"/api/v1/namespaces/{namespace}"
    items = cluster.items(f"{path}/persistentvolumeclaims", _Claim)
    is_any_pending = any(claim.status.phase == "Pending" for claim in items)
    events = _list_events(cluster, path) if is_any_pending else {}
    return PersistentVolumeClaims(
        tuple(_convert_claim(claim, tuple(events.get(claim.metadata.uid, ()))) for claim in items), namespace
    )


@probe(
    access=[
        Access("list", "statefulsets", "apps"),
        Access("list", "pods"),
        Access(
            "get",
            "persistentvolumeclaims",
            names=("data-dynamo-platform-etcd-0", "dynamo-platform-nats-js-dynamo-platform-nats-0"),
        ),
    ]
)
def platform_claims(cluster: Cluster) -> PlatformClaims:
    """Reads the claims of each etcd and NATS that is not ready, by the names that StatefulSets give them, and
    its pods.
    """
    items = cluster.items(
        "/apis/apps/v1/statefulsets", _StatefulSet, labelSelector="app.kubernetes.io/name in (etcd,nats)"
    )
    paths = [
        path for item in items if item.status.ready_replicas < item.spec.replicas for path in item.claims
    ]
    pods = list_stopped(cluster)
    try:
        found = run_parallel([partial(_get_claim, cluster, path) for path in paths])
    except Forbidden as error:
        return PlatformClaims(unread=str(error), pods=pods)
    return PlatformClaims(
        tuple(
            PlatformClaim(c.metadata.namespace, c.metadata.name, c.status.phase, c.spec.storage_class_name)
            for c in found
            if c is not None
        ),
        pods=pods,
    )


def _get_claim(cluster: Cluster, path: str) -> _Claim | None:
    try:
        return cluster.get(path, _Claim)
    except NotFound:
        return None


def _list_events(cluster: Cluster, path: str) -> dict[str, list[ClaimEvent]]:
    """The events of claims, the oldest first, by uid: a deleted claim may have had the same name."""
    items = cluster.items(f"{path}/events", _Event, fieldSelector="involvedObject.kind=PersistentVolumeClaim")
    events: dict[str, list[ClaimEvent]] = defaultdict(list)
    for event in sorted(items, key=lambda event: event.last):
        claim_event = ClaimEvent(event.type, event.reason, event.message, event.last)
        events[event.involved_object.uid].append(claim_event)
    return events


def _convert_claim(claim: _Claim, events: tuple[ClaimEvent, ...]) -> PersistentVolumeClaim:
    meta, spec, status = claim.metadata, claim.spec, claim.status
    annotations = meta.annotations or {}
    return PersistentVolumeClaim(
        name=meta.name,
        phase=status.phase,
        storage_class=spec.storage_class_name,
        access_modes=tuple(spec.access_modes or ()),
        class_applied=_names_class(annotations.get(_APPLIED, "")),
        requested=str((spec.resources.requests or {}).get("storage", "")),
        capacity=str((status.capacity or {}).get("storage", "")),
        volume=spec.volume_name,
        selected_node=annotations.get(_SELECTED_NODE, ""),
        deleting=bool(meta.deletion_timestamp),
        events=events,
    )


def _names_class(applied: str) -> bool:
    """Whether a last-applied configuration names a StorageClass."""
    try:
        return msgspec.json.decode(applied, type=_Applied).spec.storage_class_name is not None
    except msgspec.MsgspecError:  # missing or malformed
        return False
