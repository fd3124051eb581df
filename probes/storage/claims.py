"""The claims of the run's namespace, with what happened to them."""

from collections import defaultdict

import msgspec

from dynocheck import probe
from dynocheck.facts import Access
from dynocheck.facts.k8s.storage import ClaimEvent, PersistentVolumeClaim, PersistentVolumeClaims
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
    """What `kubectl apply` wrote."""

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
        """When it last happened, by whichever field its reporter filled in."""
        series = self.series.last_observed_time if self.series else None
        return series or self.last_timestamp or self.event_time or self.metadata.creation_timestamp or ""


@probe(access=[Access("list", each, local=True) for each in ("persistentvolumeclaims", "events")])
def claims(cluster: Cluster) -> PersistentVolumeClaims:
    namespace = cluster.connection.namespace
    path = f"/api/v1/namespaces/{namespace}"
    found = cluster.items(f"{path}/persistentvolumeclaims", _Claim)
    pending = any(each.status.phase == "Pending" for each in found)
    events = _list_events(cluster, path) if pending else {}
    return PersistentVolumeClaims(
        tuple(_convert_claim(each, tuple(events.get(each.metadata.uid, ()))) for each in found), namespace
    )


def _list_events(cluster: Cluster, path: str) -> dict[str, list[ClaimEvent]]:
    """What happened to claims, by their uid, since one may have had a namesake before it."""
    found = cluster.items(f"{path}/events", _Event, fieldSelector="involvedObject.kind=PersistentVolumeClaim")
    events: dict[str, list[ClaimEvent]] = defaultdict(list)
    for event in sorted(found, key=lambda event: event.last):
        made = ClaimEvent(event.type, event.reason, event.message, event.last)
        events[event.involved_object.uid].append(made)
    return events


def _convert_claim(found: _Claim, events: tuple[ClaimEvent, ...]) -> PersistentVolumeClaim:
    meta, spec, status = found.metadata, found.spec, found.status
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
    try:
        return msgspec.json.decode(applied, type=_Applied).spec.storage_class_name is not None
    except msgspec.MsgspecError:  # not applied, or by other means
        return False
