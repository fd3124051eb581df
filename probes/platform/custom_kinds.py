"""Reads the definitions of custom kinds, from the user's files and from a cluster."""

from functools import partial
from typing import Any

import msgspec

from dynocheck import probe
from dynocheck.facts import (
    Access,
    CustomKind,
    CustomVersion,
    DefinitionPaths,
    GivenKinds,
    RecipePaths,
    ServedKinds,
)
from dynocheck.kube import Cluster, KubeError, NotFound, run_parallel
from dynocheck.probes._k8s_types import METADATA, ObjectMeta, PartialObject
from dynocheck.probes._limits import READING_LIMIT_S

_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class _Names(msgspec.Struct):
    kind: str


class _Schema(msgspec.Struct):
    root: dict[str, Any] | None = msgspec.field(default=None, name="openAPIV3Schema")


class _Version(msgspec.Struct):
    name: str
    served: bool = False
    schema: _Schema | None = None


class _Spec(msgspec.Struct):
    group: str
    names: _Names
    versions: list[_Version]


class _Group(msgspec.Struct):
    name: str


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Definition(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec


@probe()
def given_kinds(paths: DefinitionPaths) -> GivenKinds:
    from dynocheck.recipe.definitions import load_definitions  # imports YAML, which few runs need

    return GivenKinds(load_definitions(paths.items))


@probe(
    access=[
        Access("list", "customresourcedefinitions", "apiextensions.k8s.io"),
        Access("get", "customresourcedefinitions", "apiextensions.k8s.io"),
    ],
    limit=lambda paths, cluster: READING_LIMIT_S,
)
def served_kinds(paths: RecipePaths, cluster: Cluster) -> ServedKinds:
    """Reads only the groups that the recipes use, because all schemas of a cluster have megabytes."""
    from dynocheck.recipe.discover import load_recipes

    groups = {manifest.group for recipe in load_recipes(*paths) for manifest in recipe.manifests} - {""}
    try:
        definitions = cluster.items(_PATH, PartialObject, accept=METADATA)
        names = [definition.metadata.name for definition in definitions]
        used = [name for name in names if name.partition(".")[2] in groups]
        kinds = run_parallel([partial(_get_kind, cluster, name) for name in used])
        served = cluster.get("/apis", _Groups).groups
    except KubeError as error:
        return ServedKinds(reason=str(error))
    found = tuple(kind for kind in kinds if kind is not None)
    return ServedKinds(found, groups=tuple(group.name for group in served))


def _get_kind(cluster: Cluster, name: str) -> CustomKind | None:
    try:
        spec = cluster.get(f"{_PATH}/{name}", _Definition).spec
    except NotFound:
        return None
    versions = (CustomVersion(v.name, v.served, v.schema.root if v.schema else None) for v in spec.versions)
    return CustomKind(spec.group, spec.names.kind, tuple(versions), source="the cluster")
