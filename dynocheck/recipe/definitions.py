"""Reads CustomResourceDefinitions from files, such as those of Helm charts and releases."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynocheck.core.errors import UsageError
from dynocheck.facts import CustomKind, CustomVersion, Problem, SourceFile, Value
from dynocheck.recipe.yaml_loader import read_documents

_SUFFIXES = (".yaml", ".yml", ".json")
_API_VERSION = "apiextensions.k8s.io/v1"
_LARGEST = 20 * 1024 * 1024  # bytes
_LISTS = ("allOf", "anyOf", "oneOf")
_SCHEMAS = ("items", "not")

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_FORMS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(
        (f"{bound}{of}" for bound in ("min", "max") for of in ("Items", "Length", "Properties", "imum")),
        (int, float),
    ),
    **dict.fromkeys(
        ("required", "enum", "x-kubernetes-validations", "x-kubernetes-list-map-keys", *_LISTS), list
    ),
    **dict.fromkeys(("type", "format", "pattern", "x-kubernetes-list-type"), str),
    "properties": dict,
}


def load_definitions(paths: tuple[str, ...]) -> tuple[CustomKind, ...]:
    """Load the kinds that files and folders define; of a Helm chart, its folder `crds` is read.

    :raises UsageError: a file cannot be read, is not YAML, or contains an invalid definition; two definitions
        of a kind differ; a path has no definition.
    """
    by_name: dict[tuple[str, str], CustomKind] = {}
    for path in paths:
        kinds = [kind for file in _find_files(Path(path)) for kind in _read_kinds(file)]
        if not kinds:
            raise UsageError(f"{path}: no CustomResourceDefinition in it")
        for kind in kinds:
            other = by_name.setdefault((kind.group, kind.kind), kind)
            if other.versions != kind.versions:
                raise UsageError(
                    f"two definitions of {kind.kind} ({kind.group}) differ: {other.source}, {kind.source}"
                )
    return tuple(by_name.values())


def _find_files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    chart = path / "crds"
    root = chart if (path / "Chart.yaml").is_file() and chart.is_dir() else path
    for folder, names, leaves in os.walk(root):
        names.sort()
        yield from (Path(folder, leaf) for leaf in sorted(leaves) if leaf.endswith(_SUFFIXES))


def _read_kinds(path: Path) -> Iterator[CustomKind]:
    problems: list[Problem] = []
    file = SourceFile(path.as_posix(), tuple(read_documents(_read_text(path), problems)))
    for problem in problems:
        if problem.fatal:
            raise _make_error(path, problem.line or 1, f"not YAML: {problem.message}")
    for manifest in file.manifests:
        if manifest.kind == "CustomResourceDefinition":
            if manifest.api_version != _API_VERSION:
                raise _make_error(
                    path, manifest.root.line, f"definition of {manifest.api_version}, not {_API_VERSION}"
                )
            yield _parse_kind(path, manifest.root)


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: not a file")
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: larger than {_LARGEST // 1024 // 1024} MiB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None


def _parse_kind(path: Path, root: Value) -> CustomKind:
    group, kind = (_read_string(path, root, *keys) for keys in (("spec", "group"), ("spec", "names", "kind")))
    versions = root.get("spec", "versions")
    if versions is None or not versions.sequence:
        raise _make_error(path, root.line, "definition without spec.versions")
    return CustomKind(
        group=group,
        kind=kind,
        versions=tuple(_parse_version(path, version) for version in versions.sequence),
        source=f"{path.as_posix()}:{root.line}",
    )


def _parse_version(path: Path, version: Value) -> CustomVersion:
    served = version.get("served")
    schema = version.get("schema", "openAPIV3Schema")
    if schema is not None:
        _validate_schema(path, schema)
    return CustomVersion(
        name=_read_string(path, version, "name"),
        served=served is not None and served.data is True,
        schema=_strip_positions(schema) if schema is not None else None,
    )


def _strip_positions(value: Value) -> Any:
    """The data without positions and nulls; the API server drops the latter."""
    if isinstance(value.data, dict):
        return {key: _strip_positions(entry) for key, entry in value.mapping.items()}
    return (
        [_strip_positions(element) for element in value.data] if isinstance(value.data, list) else value.data
    )


def _validate_schema(path: Path, schema: Value) -> None:
    """Check the types of the fields of a schema, at any depth.

    :raises UsageError: one has the wrong type.
    """
    if not isinstance(schema.data, dict):
        raise _make_error(path, schema.line, "schema is not a mapping")
    inner = [value for key in _SCHEMAS if (value := schema.get(key))]
    others = schema.get("additionalProperties")
    inner += [others] if others is not None and not isinstance(others.data, bool) else []
    for key, types in _FORMS.items():
        value = schema.get(key)
        if value is not None and not isinstance(value.data, types):
            raise _make_error(path, value.line, f"schema: {key} has the wrong type")
    kind = schema.get("type")
    if kind is not None and kind.data not in _TYPES:
        raise _make_error(path, kind.line, f"schema: type is not one of {', '.join(_TYPES)}")
    inner += (schema.get("properties") or Value({}, 1, 1)).mapping.values()
    for key in _LISTS:
        inner += schema.get_items(key)
    for rule in schema.get_items("x-kubernetes-validations"):
        _read_string(path, rule, "rule")
    for subschema in inner:
        _validate_schema(path, subschema)


def _read_string(path: Path, root: Value, *keys: str) -> str:
    value = root.get(*keys)
    if value is None or not value.text:
        raise _make_error(path, (value or root).line, f"definition without {'.'.join(keys)}")
    return value.text


def _make_error(path: Path, line: int, message: str) -> UsageError:
    return UsageError(f"{path}:{line}: {message}")
