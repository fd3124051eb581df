"""Reads CustomResourceDefinitions without their schemas, which have megabytes.

Their metadata shows which exist, and aggregated discovery which versions are served; only established
definitions are. A definition that is not served is read in full, for the reason.
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
    """The served versions of a definition, or why there are none."""

    served: tuple[str, ...] = ()
    reason: str = ""


@probe(
    access=[
        Access("list", "customresourcedefinitions", "apiextensions.k8s.io"),
        Access("get", "customresourcedefinitions", "apiextensions.k8s.io"),
    ]
)
def definitions(cluster: Cluster) -> CustomResourceDefinitions:
    """Without permission to get definitions, only the reason for one that is not served is unknown."""
    calls: list[Callable[[], Any]] = [
        partial(cluster.items, _PATH, PartialObject, accept=METADATA),
        partial(_discover_versions, cluster),
    ]
    listed, served = run_parallel(calls)
    metadata = [definition.metadata for definition in listed]
    names = [meta.name for meta in metadata if meta.name not in served]
    examined = run_parallel([partial(_examine, cluster, name) for name in names])
    versions = {**served, **dict(zip(names, examined, strict=True))}
    return CustomResourceDefinitions(
        tuple(_convert_definition(meta, versions[meta.name]) for meta in metadata)
    )


def _convert_definition(meta: ObjectMeta, versions: _ServedVersions) -> CustomResourceDefinition:
    deleting = bool(meta.deletion_timestamp)  # still served, but the server accepts no new objects
    return CustomResourceDefinition(
        name=meta.name,
        group=meta.name.partition(".")[2],
        served=versions.served,
        established=bool(versions.served) and not deleting,
        annotations=_filter_annotations(meta.annotations or {}),
        reason="it is being deleted" if deleting else versions.reason,
    )


def _discover_versions(cluster: Cluster) -> dict[str, _ServedVersions]:
    """The served versions of each resource, by the name of its definition if it has one."""
    discovery = cluster.get("/apis", _Discovery, accept=_DISCOVERY)
    if discovery.kind == "APIGroupList":
        raise Unavailable(
            "the API server has no aggregated discovery (Kubernetes before 1.30), "
            "which is needed to find the CustomResourceDefinitions that it serves"
        )
    if discovery.kind != "APIGroupDiscoveryList":
        raise InvalidResponse(f"{cluster.connection.server}/apis: not the discovery of an API server")
    versions: dict[str, list[str]] = defaultdict(list)
    for group in discovery.items or ():
        for version in group.versions or ():
            for resource in version.resources or ():
                versions[f"{resource.resource}.{group.metadata.name}"].append(version.version)
    return {name: _ServedVersions(tuple(served)) for name, served in versions.items()}


def _examine(cluster: Cluster, name: str) -> _ServedVersions:
    """Why discovery does not list a definition; its served versions if it is only too new."""
    try:
        definition = cluster.get(f"{_PATH}/{name}", _Definition)
    except NotFound:
        return _ServedVersions(reason="it was deleted during the run")
    except Forbidden as error:
        return _ServedVersions(reason=f"it is not served, and the reason could not be read: {error}")
    conditions = {c.type: c for c in definition.status.conditions or ()}
    problems = [
        f"{kind} is {c.status or 'missing'}" + (f": {c.message or c.reason}" if c.message or c.reason else "")
        for kind in ("NamesAccepted", "Established")
        if (c := conditions.get(kind, StatusCondition())).status != "True"
    ]
    if problems:
        return _ServedVersions(reason="; ".join(problems))
    served = tuple(version.name for version in definition.spec.versions or () if version.served)
    return _ServedVersions(served, "" if served else "none of its versions is served")


def _filter_annotations(annotations: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in annotations.items() if k.rpartition("/")[2] in _KEPT_ANNOTATIONS}
