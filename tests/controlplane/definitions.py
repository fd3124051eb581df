"""CustomResourceDefinitions for an API server, made of the schemas that dynocheck carries.

definitions.yaml names them. A kind of which dynocheck carries no schema takes any object.
"""

import functools
import json
import os
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.api import Object
from tests.controlplane.build import cache, digest, lock

_TABLE = Path(__file__).with_suffix(".yaml")
RELEASES: dict[str, dict[str, str]] = yaml.safe_load(_TABLE.read_text())
_SCHEMAS = Path(str(files("dynocheck.data") / "schemas.json"))
_BUNDLES = {"gaie": "inference.networking.k8s.io", "gateway-api": "gateway.networking.k8s.io"}
_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_RULES = "x-kubernetes-validations"
# The conditions that an object has until its controller writes others.
_PENDING = {
    "Gateway": ("Accepted", "Programmed"),
    "GatewayClass": ("Accepted",),
    "ListenerSet": ("Accepted", "Programmed"),
}


@functools.cache
def crds_dir() -> Path:
    """Give the folder of CRDs: $DYNOCHECK_CRDS, else one in the cache, which the first call fills."""
    if given := os.environ.get("DYNOCHECK_CRDS"):
        return Path(given)
    content = b"".join(path.read_bytes() for path in (Path(__file__), _TABLE, _SCHEMAS))
    folder = cache() / f"crds-{digest(content)}"
    with lock(folder):
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="crds-") as scratch:
                _write(Path(scratch) / "crds")
                (Path(scratch) / "crds").rename(folder)
    return folder


def published_crds_dir() -> Path | None:
    """Give the folder of CRDs as their projects publish them: ../shared/crds, or None where it is not."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "crds"
    return folder if folder.is_dir() else None


def _write(root: Path) -> None:
    schemas = json.loads(_SCHEMAS.read_text())
    for release, definitions in RELEASES.items():
        folder = root / release
        folder.mkdir(parents=True)
        for name, kind_and_versions in definitions.items():
            plural, _, group = name.partition(".")
            crd = _definition(release, name, kind_and_versions.split(), schemas)
            (folder / f"{group}_{plural}.yaml").write_text(json.dumps(crd))


def _definition(release: str, name: str, kind_and_versions: list[str], schemas: Object) -> Object:
    plural, _, group = name.partition(".")
    kind, *versions = kind_and_versions
    namespaced = versions[0] != "cluster"
    stored, *others = versions if namespaced else versions[1:]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": _annotations(release, group)},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [
                {
                    "name": version,
                    "served": not unserved,
                    "storage": version == stored,
                    "schema": {"openAPIV3Schema": _schema(f"{group}/{version}/{kind}", schemas)},
                    "subresources": {"status": {}},
                }
                for version, _, unserved in (word.partition("-") for word in (stored, *others))
            ],
        },
    }


def _annotations(release: str, group: str) -> dict[str, str]:
    found = {"api-approved.kubernetes.io": "unapproved, for tests"} if group.endswith(".k8s.io") else {}
    project, _, bundle = release.partition("/")
    if prefix := _BUNDLES.get(project):
        found |= {f"{prefix}/bundle-version": bundle, f"{prefix}/channel": "standard"}
    return found


def _schema(key: str, schemas: Object) -> Object:
    """Give the inverse of what tools/compact_crds.py makes."""
    compact = schemas["kinds"].get(key)
    if compact is None:
        return _ANYTHING
    schema: Object = _expand(compact, schemas["$defs"])
    schema["properties"] |= {"status": _status(_PENDING.get(key.rpartition("/")[2], ()))}
    return schema


def _status(pending: tuple[str, ...]) -> Object:
    state = {"status": "Unknown", "reason": "Pending", "lastTransitionTime": "1970-01-01T00:00:00Z"}
    conditions = [{**state, "type": kind, "message": "Waiting for controller"} for kind in pending]
    return {**_ANYTHING, "default": {"conditions": conditions}} if conditions else _ANYTHING


def _expand(schema: Any, shared: Object) -> Any:
    if isinstance(schema, list):
        return [_expand(item, shared) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return _expand(shared[reference.rpartition("/")[2]], shared)
    found = {key: _expand(value, shared) for key, value in schema.items()}
    for rule in found.get(_RULES, ()):
        if "oldSelf" in rule["rule"]:  # of those only the ones that judge a new object too were kept
            rule["optionalOldSelf"] = True
    return found
