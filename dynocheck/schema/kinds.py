"""The schema of every kind that is known here: Kubernetes' own, and the custom ones in data/schemas.json."""

import difflib
import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from dynocheck.data import kubernetes_schemas
from dynocheck.data.kubernetes_schemas import Release
from dynocheck.schema.apiserver_rules import (
    ENFORCED,
    ENFORCED_SINCE,
    METADATA,
    NOT_REQUIRED,
    REPLACED,
    Schema,
)
from dynocheck.schema.compiler import CompiledSchema, SchemaCompiler

_OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
_CHECKED_SEPARATELY = dict.fromkeys(("apiVersion", "kind", "metadata"), _OPEN)
_MISSPELT = 0.9  # how alike two names are of which one is taken for a misspelling of the other


@dataclass(frozen=True, eq=False)
class KindSchema:
    """A schema, and the compiler of it and of what its references name."""

    schema: Schema
    compiler: SchemaCompiler

    @property
    def structural(self) -> bool:
        """Whether it is a custom kind: its schema is one that the API server prunes and defaults by, while
        Kubernetes' own kinds are decoded into Go types.
        """
        return self.compiler.structural

    @cached_property
    def content(self) -> CompiledSchema:
        """What the server takes of an object beside its apiVersion, kind, metadata and status, which it
        judges separately or drops.
        """
        properties = self.schema["properties"] | _CHECKED_SEPARATELY
        if self.structural or "status" in properties:
            properties["status"] = _OPEN
        return self.compiler.compile({**self.schema, "properties": properties})


@lru_cache(1024)
def find_kind(group: str, version: str, kind: str, release: Release) -> KindSchema | None:
    """The kind of this name, or None when it is not known or is no object of its own.

    :param release: the release of Kubernetes whose own kinds count.
    """
    custom = _custom_schemas()
    schema = custom["kinds"].get(f"{group}/{version}/{kind}")
    if schema is not None:
        shared = custom["$defs"]
        reference = schema.get("$ref", "").rpartition("/")[2]
        return KindSchema(shared.get(reference, schema), _custom_compiler())
    name = _definition_names(release).get((group, version, kind))
    return KindSchema(_builtin_schemas(release)[name], _builtin_compiler(release)) if name else None


def suggest_kind(group: str, version: str, kind: str, release: Release) -> str | None:
    """The known kind of this apiVersion that a name must be a misspelling of, if there is one."""
    names = {name for known, of, name in _definition_names(release) if (known, of) == (group, version)}
    custom = (key.rpartition("/") for key in _custom_schemas()["kinds"])
    names |= {name for served, _, name in custom if served == f"{group}/{version}"}
    lowered = {name.lower(): name for name in names}
    found = difflib.get_close_matches(kind.lower(), sorted(lowered), 1, _MISSPELT)
    return lowered[found[0]] if found else None


def served_versions(kind: str, release: Release) -> tuple[str, ...]:
    """The versions of Kubernetes' own API in a release, the newest first, that have a kind of this name; none
    of a kind that only definitions bring.
    """
    versions = [(group, version) for group, version, name in _definition_names(release) if name == kind]
    stable = sorted(versions, key=lambda found: (*_rank(found[1]), found))
    return tuple(f"{group}/{version}" if group else version for group, version in stable)


def _rank(version: str) -> tuple[bool, bool, list[int]]:
    """What sorts the versions of a group: stable before beta before alpha, and the newest first of each."""
    return "alpha" in version, "beta" in version, [-int(number) for number in re.findall(r"\d+", version)]


@cache
def object_meta() -> KindSchema:
    """The metadata of every object, custom or not, in every release."""
    release = kubernetes_schemas.choose_release()
    schema = _builtin_schemas(release)["apimachinery.pkg.apis.meta.v1.ObjectMeta"]
    return KindSchema({**schema, "allOf": [METADATA]}, _builtin_compiler(release))


@cache
def _custom_schemas() -> dict[str, Any]:
    text = (files("dynocheck.data") / "schemas.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Any])


@cache
def _builtin_schemas(release: Release) -> dict[str, Schema]:
    definitions = kubernetes_schemas.read_definitions(release) | REPLACED
    for name, spared in NOT_REQUIRED.items():
        schema = definitions.get(name, {})
        schema["required"] = [key for key in schema.get("required", ()) if key not in spared]
    enforced = dict(ENFORCED)
    for minor, changed in ENFORCED_SINCE.items():
        if release >= (1, minor):
            enforced |= changed
    for name, schema in enforced.items():
        definitions.setdefault(name, {})["allOf"] = [schema]
    return definitions


@cache
def _custom_compiler() -> SchemaCompiler:
    return SchemaCompiler(_custom_schemas()["$defs"], structural=True)


@cache
def _builtin_compiler(release: Release) -> SchemaCompiler:
    return SchemaCompiler(_builtin_schemas(release), structural=False)


@cache
def _definition_names(release: Release) -> dict[tuple[str, str, str], str]:
    """The definition of each kind that is an object of its own."""
    return {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, schema in _builtin_schemas(release).items()
        for kind in schema.get("x-kubernetes-group-version-kind", ())
    }
