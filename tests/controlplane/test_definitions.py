"""The definitions made here are those that the projects publish, where these are at hand."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from dynocheck.schema.definitions import compact
from tests.controlplane.api import Object
from tests.controlplane.definitions import RELEASES
from tests.controlplane.objects import read_crds

SOURCES = json.loads((files("dynocheck.data") / "schemas.json").read_text())["sources"]


def definitions(root: Path) -> Iterator[tuple[str, Object]]:
    """Every definition of a release, with the release's name."""
    for release in RELEASES:
        for file in sorted((root / release).glob("*.yaml")):
            yield from ((release, crd) for crd in read_crds(file))


def outline(crd: Object) -> Object:
    """What a definition says beside its schemas."""
    spec = crd["spec"]
    annotations = crd["metadata"].get("annotations", {})
    return {
        "kind": spec["names"]["kind"],
        "plural": spec["names"]["plural"],
        "scope": spec["scope"],
        "served": {version["name"] for version in spec["versions"] if version["served"]},
        "stored": {version["name"] for version in spec["versions"] if version["storage"]},
        "conditions": {version["name"]: _default_conditions(version) for version in spec["versions"]},
        "bundle": [value for key, value in annotations.items() if key.endswith("/bundle-version")],
    }


def _default_conditions(version: Object) -> list[Object]:
    status = version["schema"]["openAPIV3Schema"].get("properties", {}).get("status", {})
    conditions: list[Object] = status.get("default", {}).get("conditions", [])
    return conditions


def test_each_has_the_published_name_and_versions(crds: Path, published_crds: Path) -> None:
    made, published = (
        {(release, crd["metadata"]["name"]): outline(crd) for release, crd in definitions(root)}
        for root in (crds, published_crds)
    )
    assert made == published


def schemas(root: Path) -> Iterator[tuple[str, Object]]:
    """The schemas, cut down to what decides validity, of the releases that dynocheck carries them of."""
    for release, crd in definitions(root):
        spec = crd["spec"]
        for version in spec["versions"]:
            key = f"{spec['group']}/{version['name']}/{spec['names']['kind']}"
            if SOURCES.get(key, "").startswith(release):
                schema = compact(version["schema"]["openAPIV3Schema"])
                schema["properties"].pop("status", None)
                yield key, schema


def test_each_schema_decides_what_the_published_one_does(crds: Path, published_crds: Path) -> None:
    made, published = dict(schemas(crds)), dict(schemas(published_crds))
    assert made.keys() == published.keys() == SOURCES.keys()
    for key, schema in published.items():
        assert made[key] == schema, key
