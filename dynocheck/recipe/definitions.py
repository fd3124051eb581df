"""Files of CustomResourceDefinitions, as charts and releases bring them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynocheck.core.errors import UsageError
from dynocheck.facts.k8s.definitions import CustomKind, CustomVersion
from dynocheck.facts.recipe.recipes import Problem, SourceFile, Value
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
    """What the definitions in these files and folders define. Of a Helm chart its folder `crds` is read.

    :raises UsageError: a file cannot be read, is not YAML, or holds a definition that is none; one kind is
        defined in two ways; there is no definition at all.
    """
    found: dict[tuple[str, str], CustomKind] = {}
    for path in paths:
        kinds = [kind for file in _find_files(Path(path)) for kind in _read_kinds(file)]
        if not kinds:
            raise UsageError(f"{path}: no CustomResourceDefinition in it")
        for kind in kinds:
            other = found.setdefault((kind.group, kind.kind), kind)
            if other.versions != kind.versions:
                raise UsageError(
                    f"{kind.kind} of {kind.group} is defined in two ways: {other.source}, {kind.source}"
                )
    return tuple(found.values())


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
                    path, manifest.root.line, f"a definition of {manifest.api_version}, not {_API_VERSION}"
                )
            yield _parse_kind(path, manifest.root)


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: not a file")
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: larger than {_LARGEST // 1024 // 1024} MiB: no definition")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None


def _parse_kind(path: Path, root: Value) -> CustomKind:
    group, kind = (_read_string(path, root, *keys) for keys in (("spec", "group"), ("spec", "names", "kind")))
    versions = root.get("spec", "versions")
    if versions is None or not versions.sequence:
        raise _make_error(path, root.line, "a definition without spec.versions")
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
    """The data without positions, and without nulls, which the server drops."""
    if isinstance(value.data, dict):
        return {key: _strip_positions(entry) for key, entry in value.mapping.items()}
    return (
        [_strip_positions(element) for element in value.data] if isinstance(value.data, list) else value.data
    )


def _validate_schema(path: Path, schema: Value) -> None:
    """Whether what makes up a schema has the form of one.

    :raises UsageError: something has not.
    """
    if not isinstance(schema.data, dict):
        raise _make_error(path, schema.line, "a schema that is no mapping")
    inner = [found for key in _SCHEMAS if (found := schema.get(key))]
    others = schema.get("additionalProperties")
    inner += [others] if others is not None and not isinstance(others.data, bool) else []
    for key, wanted in _FORMS.items():
        found = schema.get(key)
        if found is not None and not isinstance(found.data, wanted):
            raise _make_error(path, found.line, f"a schema whose {key} has the wrong type")
    kind = schema.get("type")
    if kind is not None and kind.data not in _TYPES:
        raise _make_error(path, kind.line, f"a schema whose type is none of {', '.join(_TYPES)}")
    inner += (schema.get("properties") or Value({}, 1, 1)).mapping.values()
    for key in _LISTS:
        inner += (schema.get(key) or Value([], 1, 1)).sequence
    for rule in (schema.get("x-kubernetes-validations") or Value([], 1, 1)).sequence:
        _read_string(path, rule, "rule")
    for each in inner:
        _validate_schema(path, each)


def _read_string(path: Path, root: Value, *keys: str) -> str:
    found = root.get(*keys)
    if found is None or not found.text:
        raise _make_error(path, (found or root).line, f"a definition without {'.'.join(keys)}")
    return found.text


def _make_error(path: Path, line: int, message: str) -> UsageError:
    return UsageError(f"{path}:{line}: {message}")
