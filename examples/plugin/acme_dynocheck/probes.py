"""Reads what Acme's checks look at, and judges nothing."""

import msgspec

from acme_dynocheck.facts import NamespaceOwner, PriorityClass, PriorityClasses
from dynocheck import probe
from dynocheck.facts import Access
from dynocheck.kube import Cluster, NotFound

OWNER = "acme.example/owner"


class _Metadata(msgspec.Struct):
    name: str
    labels: dict[str, str] = {}


class _Namespace(msgspec.Struct):
    metadata: _Metadata


class _PriorityClass(msgspec.Struct):
    metadata: _Metadata
    value: int = 0


@probe(access=[Access("list", "priorityclasses", "scheduling.k8s.io")])
def priority_classes(cluster: Cluster) -> PriorityClasses:
    """Lists a collection, page by page."""
    found = cluster.items("/apis/scheduling.k8s.io/v1/priorityclasses", _PriorityClass)
    return PriorityClasses(tuple(PriorityClass(each.metadata.name, each.value) for each in found))


@probe(access=[Access("get", "namespaces")])
def namespace_owner(cluster: Cluster) -> NamespaceOwner:
    """Gets one object. One that does not exist is no fault of the probe."""
    name = cluster.connection.namespace
    try:
        labels = cluster.get(f"/api/v1/namespaces/{name}", _Namespace).metadata.labels
    except NotFound:
        labels = {}
    return NamespaceOwner(name, labels.get(OWNER))
