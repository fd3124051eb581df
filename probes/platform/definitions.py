"""CustomResourceDefinitions, without fetching their schemas, which run to megabytes.

Metadata alone says which exist; aggregated discovery says which of their versions are served, and only
an established definition is. A definition that is not served is fetched whole, for its reason.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.facts import Access, CustomResourceDefinition, CustomResourceDefinitions
from dynocheck.kube import Cluster, Forbidden, InvalidResponse, NotFound, run_parallel
from dynocheck.probes._k8s_types import METADATA, ObjectMeta, PartialObject, StatusCondition

_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_KEPT_ANNOTATIONS = {"bundle-version", "channel", "observed-generation"}


class _Resource(msgspec.Struct):
    resource: str


class _Version(msgspec.Struct):
    version: str
    resources: list[_Resource] | None = None


class _Group(msgspec.Struct):
    metadata: ObjectMeta
    versions: list[_Version] | None = None


class _Discovery(msgspec.Struct):
    kind: str
    items: list[_Group] | None = None


class _SpecVersion(msgspec.Struct):
    name: str
    served: bool = False


class _Spec(msgspec.Struct):
    versions: list[_SpecVersion] | None = None


class _Status(msgspec.Struct):
    conditions: list[StatusCondition] | None = None


class _Definition(msgspec.Struct):
    spec: _Spec
    status: _Status = msgspec.field(default_factory=_Status)


class _ServedVersions(NamedTuple):
    """The versions that are served, or why there are none."""

    served: tuple[str, ...] = ()
    reason: str = ""


@probe(
    access=[
        Access("list", "customresourcedefinitions", "apiextensions.k8s.io"),
        Access("get", "customresourcedefinitions", "apiextensions.k8s.io"),
    ]
)
def definitions(cluster: Cluster) -> CustomResourceDefinitions:
    """Without the right to get one, only the reason of one that is not served stays unknown."""
    calls: list[Callable[[], Any]] = [
        partial(cluster.items, _PATH, PartialObject, accept=METADATA),
        partial(_discover_versions, cluster),
    ]
    found, served = run_parallel(calls)
    names = [each.metadata.name for each in found if each.metadata.name not in served]
    examined = run_parallel([partial(_examine, cluster, name) for name in names])
    standing = {**served, **dict(zip(names, examined, strict=True))}
    return CustomResourceDefinitions(
        tuple(_convert_definition(each.metadata, standing[each.metadata.name]) for each in found)
    )


def _convert_definition(meta: ObjectMeta, standing: _ServedVersions) -> CustomResourceDefinition:
    going = bool(meta.deletion_timestamp)  # it is served to its end, but takes no new objects
    return CustomResourceDefinition(
        name=meta.name,
        group=meta.name.partition(".")[2],
        served=standing.served,
        established=bool(standing.served) and not going,
        annotations=_filter_annotations(meta.annotations or {}),
        reason="it is being deleted" if going else standing.reason,
    )


def _discover_versions(cluster: Cluster) -> dict[str, _ServedVersions]:
    """What discovery says of every resource, by the name that its definition would have."""
    discovery = cluster.get("/apis", _Discovery, accept=_DISCOVERY)
    if discovery.kind == "APIGroupList":
        raise Unavailable(
            "the API server has no aggregated discovery (Kubernetes before 1.30), "
            "so which definitions it serves was not looked at"
        )
    if discovery.kind != "APIGroupDiscoveryList":
        raise InvalidResponse(
            f"{cluster.connection.server}/apis: not what an API server answers: no discovery"
        )
    versions: dict[str, list[str]] = defaultdict(list)
    for group in discovery.items or ():
        for version in group.versions or ():
            for resource in version.resources or ():
                versions[f"{resource.resource}.{group.metadata.name}"].append(version.version)
    return {name: _ServedVersions(tuple(served)) for name, served in versions.items()}


def _examine(cluster: Cluster, name: str) -> _ServedVersions:
    """A definition that discovery does not show: why not, unless it is only too new for it."""
    try:
        found = cluster.get(f"{_PATH}/{name}", _Definition)
    except NotFound:
        return _ServedVersions(reason="it was deleted while it was looked at")
    except Forbidden as error:
        return _ServedVersions(reason=f"it is not served, and why may not be looked at: {error}")
    conditions = {c.type: c for c in found.status.conditions or ()}
    bad = [
        f"{kind} is {c.status or 'missing'}" + (f": {c.message or c.reason}" if c.message or c.reason else "")
        for kind in ("NamesAccepted", "Established")
        if (c := conditions.get(kind, StatusCondition())).status != "True"
    ]
    if bad:
        return _ServedVersions(reason="; ".join(bad))
    served = tuple(version.name for version in found.spec.versions or () if version.served)
    return _ServedVersions(served, "" if served else "none of its versions is served")


def _filter_annotations(annotations: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in annotations.items() if k.rpartition("/")[2] in _KEPT_ANNOTATIONS}
