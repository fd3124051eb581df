"""Probe of the claims in the run's namespace and their events."""

from collections import defaultdict

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
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import ObjectMeta

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


@probe(access=[Access("list", "persistentvolumeclaims")])
def platform_claims(cluster: Cluster) -> PlatformClaims:
    """Keeps the claims with nats or etcd in their name, which a StatefulSet gives them after itself."""
    items = cluster.items("/api/v1/persistentvolumeclaims", _Claim)
    return PlatformClaims(
        tuple(
            PlatformClaim(c.metadata.namespace, c.metadata.name, c.status.phase, c.spec.storage_class_name)
            for c in items
            if "nats" in c.metadata.name or "etcd" in c.metadata.name
        )
    )


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
