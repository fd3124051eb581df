"""Reads the DeviceClasses of Dynamic Resource Allocation."""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, DeviceClass, DeviceClasses
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes._k8s_types import ObjectMeta

_GROUP = "/apis/resource.k8s.io"


class _Version(msgspec.Struct):
    version: str


class _Group(msgspec.Struct):
    versions: list[_Version] | None = None


class _Cel(msgspec.Struct):
    expression: str = ""


class _Selector(msgspec.Struct):
    cel: _Cel | None = None


class _ClassSpec(msgspec.Struct, rename="camel"):
    selectors: list[_Selector] | None = None
    extended_resource_name: str | None = None


class _Class(msgspec.Struct):
    metadata: ObjectMeta
    spec: _ClassSpec = msgspec.field(default_factory=_ClassSpec)


@probe(access=[Access("list", "deviceclasses", "resource.k8s.io")])
def device_classes(cluster: Cluster) -> DeviceClasses:
    try:
        group = cluster.get(_GROUP, _Group)
    except NotFound:
        return DeviceClasses()
    versions = tuple(version.version for version in group.versions or ())
    for version in versions:
        try:
            classes = cluster.items(f"{_GROUP}/{version}/deviceclasses", _Class)
        except NotFound:
            continue
        rules = {item.metadata.name: _convert_class(item) for item in classes}
        return DeviceClasses(tuple(sorted(rules)), versions, rules)
    return DeviceClasses(versions=versions)


def _convert_class(item: _Class) -> DeviceClass:
    selectors = (selector.cel.expression for selector in item.spec.selectors or () if selector.cel)
    return DeviceClass(tuple(selectors), item.spec.extended_resource_name or "")
