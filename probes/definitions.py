"""CustomResourceDefinitions, without fetching their schemas, which run to megabytes.

Metadata alone says which exist; aggregated discovery says which of their versions are served, and only
an established definition is. A definition that is not served is fetched whole, for its reason.
"""

from functools import partial
from typing import Any

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.facts import Access, CustomResourceDefinition, CustomResourceDefinitions
from dynocheck.kube import Cluster, NotFound, together
from dynocheck.probes.wire import Condition, Meta

_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_KEPT_ANNOTATIONS = {"bundle-version", "channel", "observed-generation"}


class _Partial(msgspec.Struct):
    metadata: Meta


class _Resource(msgspec.Struct):
    resource: str


class _Version(msgspec.Struct):
    version: str
    resources: list[_Resource] | None = None


class _Group(msgspec.Struct):
    metadata: Meta
    versions: list[_Version] | None = None


class _Discovery(msgspec.Struct):
    kind: str = ""
    items: list[_Group] | None = None


class _Status(msgspec.Struct, rename="camel"):
    conditions: list[Condition] | None = None
    stored_versions: list[str] | None = None


class _Definition(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


@probe(
    access=[
        Access("list", "customresourcedefinitions", "apiextensions.k8s.io"),
        Access("get", "customresourcedefinitions", "apiextensions.k8s.io"),
    ]
)
def definitions(cluster: Cluster) -> CustomResourceDefinitions:
    def existing() -> Any:
        return list(cluster.items(_PATH, _Partial, accept=_METADATA))

    found, served = together([existing, lambda: _served(cluster)])
    unserved = [partial.metadata.name for partial in found if partial.metadata.name not in served]
    reasons = dict(
        zip(unserved, together([partial(_why_not, cluster, name) for name in unserved]), strict=True)
    )
    return CustomResourceDefinitions(
        tuple(
            CustomResourceDefinition(
                name=partial.metadata.name,
                group=partial.metadata.name.partition(".")[2],
                served=served.get(partial.metadata.name, ()),
                established=partial.metadata.name in served,
                annotations=_kept(partial.metadata.annotations or {}),
                reason=reasons.get(partial.metadata.name, ""),
            )
            for partial in found
        )
    )


def _served(cluster: Cluster) -> dict[str, tuple[str, ...]]:
    """The served versions of every resource, by the name that its definition would have."""
    discovery = cluster.get("/apis", _Discovery, accept=_DISCOVERY)
    if discovery.kind != "APIGroupDiscoveryList":
        raise Unavailable(
            "the API server has no aggregated discovery (Kubernetes before 1.30), "
            "so which definitions it serves was not looked at"
        )
    served: dict[str, tuple[str, ...]] = {}
    for group in discovery.items or ():
        for version in group.versions or ():
            for resource in version.resources or ():
                name = f"{resource.resource}.{group.metadata.name}"
                served[name] = (*served.get(name, ()), version.version)
    return served


def _kept(annotations: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in annotations.items() if k.rpartition("/")[2] in _KEPT_ANNOTATIONS}


def _why_not(cluster: Cluster, name: str) -> str:
    try:
        conditions = cluster.get(f"{_PATH}/{name}", _Definition).status.conditions or ()
    except NotFound:
        return "deleted while it was looked at"
    bad = [c for c in conditions if c.status != "True" and c.type in ("Established", "NamesAccepted")]
    return "; ".join(f"{c.type} is {c.status}: {c.message or c.reason}" for c in bad) or "not served"
