"""Makes dynocheck/data/kubernetes_schemas.json: the definitions of Kubernetes' own kinds, by release.

    python -m tools.write_kubernetes_schemas

They are taken from the OpenAPI document of the newest patch of each minor release since 1.30, as published in
the Go module k8s.io/kubernetes. Only what decides whether an object is valid is kept. The newest release is
written in full, each earlier one as its differences from the release that follows it.
"""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.controlplane.build import find_go

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "kubernetes_schemas.json"
MODULE = "k8s.io/kubernetes"
DOCUMENT = "api/openapi-spec/swagger.json"
OLDEST = (1, 30)  # the oldest release that Dynamo's platform chart installs on

_KIND = "x-kubernetes-group-version-kind"
_KEPT = ("additionalProperties", "format", "items", "properties", "required", "type")
_STABLE = re.compile(r"v(\d+)\.(\d+)\.(\d+)")

Schema = dict[str, Any]
Definitions = dict[str, Schema]


def newest_patches(go: str) -> dict[str, str]:
    """The newest patch version of each minor release, the oldest release first."""
    command = [go, "list", "-m", "-versions", MODULE]
    listed = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout.split()
    stable = sorted(tuple(map(int, found.groups())) for found in map(_STABLE.fullmatch, listed) if found)
    return {f"{v[0]}.{v[1]}": f"v{v[0]}.{v[1]}.{v[2]}" for v in stable if v[:2] >= OLDEST}


def download(go: str, version: str) -> Definitions:
    """The definitions that a version publishes; the rest of the module is not kept."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [go, "mod", "download", "-json", f"{MODULE}@{version}"],
            check=True,
            capture_output=True,
            cwd="/",
            env=os.environ | {"GOMODCACHE": cache, "GOFLAGS": "-modcacherw"},
        )
        document = json.loads(Path(json.loads(done.stdout)["Dir"], DOCUMENT).read_bytes())
    definitions: Definitions = document["definitions"]
    return definitions


def compact(published: Definitions) -> Definitions:
    """The definitions that objects consist of, without descriptions; the status of an object is left open."""
    definitions = {_short(name): _compact_schema(schema) for name, schema in published.items()}
    kinds = [name for name, schema in definitions.items() if _KIND in schema]
    parts = {part for name in _reachable(kinds, definitions) for part in _references(definitions[name])}
    for name in kinds:
        if name not in parts and "status" in definitions[name]["properties"]:
            definitions[name]["properties"]["status"] = {}
    return {name: definitions[name] for name in sorted(_reachable(kinds, definitions))}


def differences(later: Definitions, earlier: Definitions) -> dict[str, Schema | None]:
    """What turns the definitions of a release into those of the one before it; None removes one."""
    return {
        name: earlier.get(name) for name in sorted({*later, *earlier}) if later.get(name) != earlier.get(name)
    }


def _compact_schema(schema: Schema) -> Schema:
    if "$ref" in schema:
        return {"$ref": _short(schema["$ref"].rpartition("/")[2])}
    kept = {key: schema[key] for key in _KEPT if key in schema}
    if "properties" in kept:
        kept["properties"] = {name: _compact_schema(part) for name, part in kept["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = _compact_schema(kept[key])
    metadata = kept.get("properties", {}).get("metadata", {}).get("$ref", "")
    if _KIND in schema and metadata.endswith(".ObjectMeta"):  # an object of its own, not a list or an option
        kept[_KIND] = schema[_KIND]
    return kept


def _short(name: str) -> str:
    return name.removeprefix("io.k8s.")


def _reachable(names: Iterable[str], definitions: Mapping[str, Schema]) -> set[str]:
    """These definitions and all that they refer to."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(_references(definitions[name]))
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):  # not a property of that name
            yield schema["$ref"]
        for part in schema.values():
            yield from _references(part)


def _lines(definitions: Mapping[str, Schema | None]) -> str:
    """A JSON object with a definition per line, so that a change of one is a line of a diff."""
    lines = (f"{json.dumps(name)}:{_text(schema)}" for name, schema in definitions.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


def main() -> None:
    go = find_go()
    patches = newest_patches(go)
    later: Definitions = {}
    newest, earlier = "", []
    for release, version in reversed(patches.items()):
        definitions = compact(download(go, version))
        if newest:
            earlier.append(f'"{release}":{_lines(differences(later, definitions))}')
        else:
            newest = _lines(definitions)
        print(f"{version}: {len(definitions)} definitions")
        later = definitions
    parts = {
        "releases": _text(patches),
        "newest": newest,
        "earlier": "{\n" + ",\n".join(earlier) + "\n}",
    }
    TARGET.write_text("{" + ",\n".join(f'"{name}":{part}' for name, part in parts.items()) + "}\n")
    print(f"{TARGET}: {TARGET.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
