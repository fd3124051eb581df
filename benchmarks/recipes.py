"""How long `dynocheck recipe` takes over folders of recipes, beside kubeconform on the same files.

Run it as `python -m benchmarks.recipes [FOLDER]`, by default on `recipes/`.

kubeconform is built from the module that kubeconform/go.mod names. It gets the schemas that a real API server
publishes of its own kinds and of the test CRDs, closed to unknown fields as its own strict ones are. It
judges schemas alone; dynocheck runs every check of recipes.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import installed
from benchmarks.timing import compare, show
from tests import clusters
from tests.controlplane import build
from tests.controlplane.definitions import crds_dir
from tests.controlplane.server import ControlPlane

OURS = "dynocheck recipe, every check"
SCHEMAS = "dynocheck recipe, schemas alone"
THEIRS = "kubeconform -strict"
_MODULE = Path(__file__).parent / "kubeconform"
_TEMPLATE = "{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json"
_REFERENCE = "#/components/schemas/"
_RESULTS = ("valid", "invalid", "errors", "skipped")


def build_kubeconform(folder: Path) -> Path:
    """Build it in this folder.

    :raises subprocess.CalledProcessError: its source or that of a module it needs cannot be had.
    """
    program = folder / "kubeconform"
    package = "github.com/yannh/kubeconform/cmd/kubeconform"
    subprocess.run([build.find_go(), "build", "-o", str(program), package], cwd=_MODULE, check=True)
    return program


@contextmanager
def prepare_kubeconform() -> Iterator[list[str]]:
    """The command that judges manifests by the schemas of a real API server and the test CRDs.

    :raises subprocess.CalledProcessError: as for `build_kubeconform`.
    """
    crds = crds_dir()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with ControlPlane() as cluster:
            cluster.load_crds(*clusters.list_crds(crds))
            write_schemas(cluster, folder)
        yield [str(build_kubeconform(folder)), "-strict", "-schema-location", str(folder / _TEMPLATE)]


def write_schemas(cluster: ControlPlane, folder: Path) -> None:
    """Write the schema of every kind that a server publishes, by the names that kubeconform looks for."""
    for path in cluster.get("/openapi/v3")["paths"]:
        definitions = cluster.get(f"/openapi/v3/{path}").get("components", {}).get("schemas", {})
        for name, schema in definitions.items():
            for kind in schema.get("x-kubernetes-group-version-kind", ()):
                group = kind["group"] or kind["version"]  # which kubeconform takes for the core group
                file = f"{kind['kind'].lower()}-{group}-{kind['version']}.json"
                needed = {each: close_schema(definitions[each]) for each in find_reachable(name, definitions)}
                whole = {"$ref": _REFERENCE + name, "components": {"schemas": needed}}
                (folder / file).write_text(json.dumps(whole))


def find_reachable(name: str, definitions: dict[str, Any]) -> set[str]:
    """A definition and those that it refers to."""
    found: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending.extend(find_references(definitions[current]))
    return found


def find_references(schema: Any) -> Iterator[str]:
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if key == "$ref" and isinstance(value, str):
            yield value.removeprefix(_REFERENCE)
        elif isinstance(value, (dict, list)):
            yield from find_references(value)


def close_schema(schema: Any) -> Any:
    """The schema with no room for unknown fields where it names the known ones, and without defaults."""
    if isinstance(schema, list):
        return [close_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    own = {key: close_schema(value) for key, value in schema.items() if key != "default"}
    opened = own.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in own
    if isinstance(own.get("properties"), dict) and "type" in own and not opened:
        own["additionalProperties"] = False
    return own


def print_verdicts(ours: list[str], theirs: list[str]) -> None:
    """Print what each says of the files."""
    report = json.loads(subprocess.run([*ours, "-ojson"], capture_output=True, check=False).stdout)
    findings = [finding for verdict in report["verdicts"] for finding in verdict["findings"]]
    told = {o: sum(f["outcome"] == o for f in findings) for o in ("fail", "warn", "unknown")}
    print(f"  dynocheck: {len(report['verdicts'])} checks; {format_counts(told)}")
    done = subprocess.run(
        [theirs[0], "-summary", "-output", "json", *theirs[1:]], capture_output=True, check=False
    )
    result = json.loads(done.stdout)
    unknown = [r for r in result["resources"] if "could not find schema" in r["msg"]]
    summary = {name: result["summary"][name] for name in _RESULTS}
    print(f"  kubeconform: {format_counts(summary)}; {len(unknown)} without a schema")
    for resource in result["resources"]:
        reason = shorten_reason(resource["msg"])
        print(f"    {resource['status']} {resource['filename']} {resource['kind']}: {reason}")


def shorten_reason(message: str) -> str:
    """What is wrong, without the path of the schema and what follows the first mistake."""
    return message.partition("\n- ")[2].partition("\n")[0] or message


def format_counts(amounts: dict[str, int]) -> str:
    return ", ".join(f"{amount} {name}" for name, amount in amounts.items())


def main(target: str = str(installed.ROOT / "recipes")) -> None:
    with installed.create_environment() as bin_, prepare_kubeconform() as kubeconform:
        ours = [str(bin_ / "dynocheck"), "recipe", target]
        theirs = [*kubeconform, "-ignore-filename-pattern", r"\.md$", target]
        files = sum(1 for _ in Path(target).rglob("*.yaml"))
        print(f"{files} files of {target}")
        print_verdicts(ours, theirs)
        either = (0, 1)  # neither is asked whether the recipes are sound, but how long it takes to tell
        contenders = {OURS: [ours], SCHEMAS: [[*ours, "--select=manifest.schema"]], THEIRS: [theirs]}
        medians = compare(contenders, codes=either)
        show(medians, OURS, THEIRS)
        show(medians, SCHEMAS, THEIRS)


if __name__ == "__main__":
    main(*sys.argv[1:])
