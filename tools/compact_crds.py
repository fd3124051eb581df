"""Adds folders of CustomResourceDefinitions to the compact schemas in dynocheck/data/schemas.json.

    python tools/compact_crds.py SOURCE=FOLDER...

SOURCE says in the result where a folder's definitions come from, for instance gateway-api/v1.5.1. Only what
decides validity is kept: no descriptions, no examples, and of the rules in CEL those that judge a new object.
Subtrees that occur twice (pod templates above all) are written once.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from dynocheck.schema.definitions import compact

TARGET = Path(__file__).parent.parent / "dynocheck" / "data" / "schemas.json"
SMALL = 120  # characters: a subtree shorter than a reference is worth is written in place


def extract_shared(schema: Any, shared: dict[str, Any]) -> Any:
    """The same schema, its larger subtrees moved to `shared`."""
    if isinstance(schema, list):
        return [extract_shared(item, shared) for item in schema]
    if not isinstance(schema, dict):
        return schema
    small = {key: extract_shared(value, shared) for key, value in schema.items()}
    text = json.dumps(small, sort_keys=True)
    if "type" not in small or len(text) < SMALL:
        return small
    name = hashlib.sha256(text.encode()).hexdigest()[:10]
    shared[name] = small
    return {"$ref": f"#/$defs/{name}"}


def main(arguments: list[str]) -> None:
    known = json.loads(TARGET.read_text())
    shared: dict[str, Any] = known["$defs"]
    kinds: dict[str, Any] = known["kinds"]
    sources: dict[str, str] = known["sources"]
    for argument in arguments:
        source, _, folder = argument.partition("=")
        for path in sorted(Path(folder).glob("*.yaml")):
            for crd in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
                if not crd or crd.get("kind") != "CustomResourceDefinition":
                    continue
                spec = crd["spec"]
                for version in spec["versions"]:
                    key = f"{spec['group']}/{version['name']}/{spec['names']['kind']}"
                    schema = compact(version["schema"]["openAPIV3Schema"])
                    schema["properties"].pop("status", None)
                    kinds[key] = extract_shared(schema, shared)
                    sources[key] = source
    document = {"sources": sources, "kinds": kinds, "$defs": shared}
    TARGET.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n")
    print(f"{TARGET}: {len(kinds)} kinds, {TARGET.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main(sys.argv[1:])
