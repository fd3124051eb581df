"""The schema of every kind that is known here: Kubernetes' own, and the custom ones in data/schemas.json."""

import functools
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dynocheck.schema.apiserver_rules import ENFORCED, NOT_REQUIRED, REPLACED, Schema

_PREFIX = "io.k8s."
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)-local-strict")


class KindSchema(NamedTuple):
    """A schema and the definitions that its references name.

    `structural` is true of a custom kind: its schema is one that the API server prunes and defaults by,
    while Kubernetes' own kinds are decoded into Go types.
    """

    schema: Schema
    definitions: dict[str, Schema]
    structural: bool


def find_kind(group: str, version: str, kind: str) -> KindSchema | None:
    """The kind of this name, or None when it is not known or is no object of its own."""
    custom = _custom_schemas()
    schema = custom["kinds"].get(f"{group}/{version}/{kind}")
    if schema is not None:
        shared = custom["$defs"]
        reference = schema.get("$ref", "").rpartition("/")[2]
        return KindSchema(shared.get(reference, schema), shared, structural=True)
    name = _definition_names().get((group, version, kind))
    return KindSchema(_builtin_schemas()[name], _builtin_schemas(), structural=False) if name else None


@functools.cache
def served_versions(kind: str) -> tuple[str, ...]:
    """The versions of Kubernetes' own API, the newest first, that have a kind of this name; none of a kind
    that only definitions bring.
    """
    versions = [(group, version) for group, version, name in _definition_names() if name == kind]
    stable = sorted(versions, key=lambda found: ("alpha" in found[1], "beta" in found[1], found))
    return tuple(f"{group}/{version}" if group else version for group, version in stable)


def object_meta() -> KindSchema:
    """The metadata of every object, custom or not."""
    definitions = _builtin_schemas()
    return KindSchema(definitions[f"{_PREFIX}apimachinery.pkg.apis.meta.v1.ObjectMeta"], definitions, False)


@functools.cache
def _custom_schemas() -> dict[str, Any]:
    text = (files("dynocheck.data") / "schemas.json").read_bytes()
    return msgspec.json.decode(text, type=dict[str, Any])


@functools.cache
def _builtin_schemas() -> dict[str, Schema]:
    definitions: dict[str, Schema] = msgspec.json.decode(_find_newest().read_bytes())["$defs"]
    for name, schema in REPLACED.items():
        definitions[_PREFIX + name] = schema
    for name, spared in NOT_REQUIRED.items():
        schema = definitions.get(_PREFIX + name, {})
        schema["required"] = [key for key in schema.get("required", ()) if key not in spared]
    for name, schema in ENFORCED.items():
        definitions.setdefault(_PREFIX + name, {})["allOf"] = [schema]
    return definitions


@functools.cache
def _definition_names() -> dict[tuple[str, str, str], str]:
    return {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, schema in _builtin_schemas().items()
        for kind in schema.get("x-kubernetes-group-version-kind", ())
        if schema.get("properties", {}).get("metadata", {}).get("$ref", "").endswith(".ObjectMeta")
    }


def _find_newest() -> Path:
    """The published definitions of the newest Kubernetes; the package is read, not imported."""
    spec = find_spec("kubernetes_validate")
    assert spec is not None, "a dependency is not installed"
    root = next(iter(spec.submodule_search_locations or ()))
    found = {
        tuple(map(int, match.groups())): folder
        for folder in Path(root, "kubernetes-json-schema").iterdir()
        if (match := _VERSION.fullmatch(folder.name))
    }
    return found[max(found)] / "_definitions.json"
