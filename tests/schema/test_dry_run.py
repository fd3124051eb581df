"""What the commands say of a recipe on a cluster is what its API server says of each object in a dry run."""

import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dynocheck.facts import Manifest, Role
from dynocheck.recipe.discover import load_recipes
from tests.command import dynocheck
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

SAMPLE = yaml.safe_load(Path(__file__).with_name("dry_run.yaml").read_text())
RECIPES = Path(__file__).parents[2] / "recipes"
CORPUS = RECIPES.parent.parent / "shared" / "corpus"
CRDS = (
    *("dynamo/main-2026-08", "gaie/v1.6.0", "gaie/v1.4.0", "gateway-api/v1.5.1", "gpu-operator"),
    *("grove", "kai-scheduler", "lws", "network-operator", "prometheus-operator"),
)
COMMANDS = (("recipe", "--cluster"), ("preflight", "--recipe"))
_TOLD = ("fail", "unknown", "unjudged")


class Judged(NamedTuple):
    """An object, why the API server refuses it, and what a command says on its lines by outcome."""

    place: str
    causes: list[str]
    told: dict[str, list[str]]

    @property
    def disagreement(self) -> str | None:
        refused_here = [t for t in self.told.get("fail", []) if t.startswith("manifest.schema: ")]
        if not self.causes and refused_here:
            return f"{self.place}: refused here alone: {refused_here}"
        if self.causes and not any(outcome in self.told for outcome in _TOLD):
            return f"{self.place}: refused by the server alone: {self.causes}"
        return None


@pytest.fixture(scope="module")
def cluster(controlplane: ControlPlane, crds: Path, request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """The real API server with the kinds of the sample or, for the proof, every kind that recipes use."""
    whole = any("verify" in each.keywords for each in request.session.items if each.path == request.path)
    before = controlplane.snapshot()
    controlplane.load_crds(*(crds / release for release in (CRDS if whole else CRDS[:2])))
    yield controlplane
    controlplane.reset(before)


def _dry_run(cluster: ControlPlane, served: Container[tuple[str, str]], item: Object) -> list[str]:
    """Why the API server refuses an object; nothing if it takes it or has it already."""
    if (item["apiVersion"], item["kind"]) not in served:
        return [f"no matches for kind {item['kind']} of {item['apiVersion']}"]
    resource = cluster.resource(item)
    folder, _, plural = resource.path.rpartition("/")
    answer = cluster.http.post(
        f"{folder}/namespaces/default/{plural}" if resource.namespaced else resource.path,
        params={"dryRun": "All", "fieldValidation": "Strict"},
        content=json.dumps(item).encode(),
        headers={"Content-Type": "application/json"},
    )
    return [] if answer.is_success or answer.status_code == 409 else [answer.json()["message"]]


def _without_namespace(manifest: Manifest) -> Object:
    item: Object = manifest.root.plain
    item.get("metadata", {}).pop("namespace", None)
    return item


def _read_report(cluster: ControlPlane, command: tuple[str, str], path: Path) -> list[tuple[str, str, Any]]:
    """What a command says, as outcome, check with message, and location."""
    verb, option = command
    arguments: list[str | Path] = [verb, path, option] if verb == "recipe" else [verb, option, path]
    reaching = ("--kubeconfig", cluster.kubeconfig(), "--timeout", "120")
    ended = dynocheck(*arguments, *reaching, "-o", "json")
    said = []
    for verdict in ended.report["verdicts"]:
        for finding in verdict["findings"]:
            text = f"{verdict['check']}: {finding['message']}"
            said.append((finding["outcome"], text, finding["location"]))
        for each in verdict.get("unjudged", ()):
            said.append(("unjudged", f"{verdict['check']}: {each['why']}", each["location"]))
    return said


def _judge(cluster: ControlPlane, command: tuple[str, str], path: Path) -> Iterator[Judged]:
    said, served = _read_report(cluster, command, path), cluster.discover()
    for recipe in load_recipes([str(path)]):
        for file in recipe.own_files:
            for manifest in file.manifests if file.role is Role.MANIFEST else ():
                values = list(manifest.root.walk())
                if not (manifest.kind and manifest.api_version) or any(file.is_open(v) for v in values):
                    continue
                lines = range(manifest.root.line, max(value.line for value in values) + 1)
                told: dict[str, list[str]] = {}
                for outcome, text, location in said:
                    if location and location["file"] == manifest.file and location["line"] in lines:
                        told.setdefault(outcome, []).append(text)
                place = f"{manifest.file}:{lines.start}"
                yield Judged(place, _dry_run(cluster, served, _without_namespace(manifest)), told)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_sample(cluster: ControlPlane, tmp_path: Path, command: tuple[str, str]) -> None:
    objects = [*SAMPLE["taken"], *SAMPLE["refused"].values()]
    (tmp_path / "deploy.yaml").write_text("---\n".join(yaml.safe_dump(each) for each in objects))
    found = list(_judge(cluster, command, tmp_path))
    taken, refused = len(SAMPLE["taken"]), len(SAMPLE["refused"])
    assert [bool(each.causes) for each in found] == [False] * taken + [True] * refused
    assert [each.disagreement for each in found if each.disagreement] == []


@pytest.mark.verify
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("folder", [RECIPES, *sorted(CORPUS.glob("*/"))], ids=lambda folder: folder.name)
def test_recipes(cluster: ControlPlane, folder: Path, command: tuple[str, str]) -> None:
    assert [each.disagreement for each in _judge(cluster, command, folder) if each.disagreement] == []
