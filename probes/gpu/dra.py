"""Reads the DeviceClasses of Dynamic Resource Allocation."""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, DeviceClasses
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes._k8s_types import PartialObject

_GROUP = "/apis/resource.k8s.io"


class _Version(msgspec.Struct):
    version: str


class _Group(msgspec.Struct):
    versions: list[_Version] | None = None


@probe(access=[Access("list", "deviceclasses", "resource.k8s.io")])
def device_classes(cluster: Cluster) -> DeviceClasses:
    try:
        group = cluster.get(_GROUP, _Group)
    except NotFound:
        return DeviceClasses()
    versions = tuple(version.version for version in group.versions or ())
    for version in versions:
        try:
            classes = cluster.items(f"{_GROUP}/{version}/deviceclasses", PartialObject)
        except NotFound:
            continue
        return DeviceClasses(tuple(sorted(item.metadata.name for item in classes)), versions)
    return DeviceClasses(versions=versions)
