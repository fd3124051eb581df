"""What the commands say of a recipe on a cluster is what its API server says of each object in a dry run."""

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
from tests.schema.causes import Cause, ask_server, find_lines

SAMPLE = yaml.safe_load(Path(__file__).with_name("dry_run.yaml").read_text())
RECIPES = Path(__file__).parents[2] / "recipes"
CORPUS = RECIPES.parent.parent / "shared" / "corpus"
CRDS = (
    *("dynamo/main-2026-08", "gaie/v1.6.0", "gaie/v1.4.0", "gateway-api/v1.5.1", "gpu-operator"),
    *("grove", "kai-scheduler", "lws", "network-operator", "prometheus-operator"),
)
COMMANDS = (("recipe", "--cluster"), ("preflight", "--recipe"))
_TOLD = ("fail", "unknown", "unjudged")


class Said(NamedTuple):
    outcome: str
    line: int
    text: str


class Judged(NamedTuple):
    """An object, why the API server refuses it, and what a command says on its lines."""

    manifest: Manifest
    causes: list[Cause]
    said: list[Said]

    @property
    def disagreement(self) -> str | None:
        place = f"{self.manifest.file}:{self.manifest.root.line}"
        refused_here = [
            s for s in self.said if s.outcome == "fail" and s.text.startswith("manifest.schema: ")
        ]
        told = [s for s in self.said if s.outcome in _TOLD]
        if not self.causes and refused_here:
            return f"{place}: refused here alone: {refused_here}"
        if self.causes and not told:
            return f"{place}: refused by the server alone: {self.causes}"
        if self.causes and not any(self._is_told(cause, told) for cause in self.causes):
            return f"{place}: refused for {self.causes}, told: {told}"
        return None

    def _is_told(self, cause: Cause, told: list[Said]) -> bool:
        """Whether something is told where the server sees the cause, if it names a field."""
        lines = find_lines(self.manifest.root, cause.field)
        return not cause.field or any(each.line in lines for each in told)


@pytest.fixture(scope="module")
def cluster(controlplane: ControlPlane, crds: Path, request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """The real API server with the kinds of the sample or, for the proof, every kind that recipes use."""
    whole = any("verify" in each.keywords for each in request.session.items if each.path == request.path)
    before = controlplane.snapshot()
    controlplane.load_crds(*(crds / release for release in (CRDS if whole else CRDS[:2])))
    yield controlplane
    controlplane.reset(before)


def _dry_run(cluster: ControlPlane, served: Container[tuple[str, str]], item: Object) -> list[Cause]:
    """Why the API server refuses an object; nothing if it takes it or has it already."""
    if (item["apiVersion"], item["kind"]) not in served:
        return [Cause(f"no matches for kind {item['kind']} of {item['apiVersion']}")]
    return ask_server(cluster, item)


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
                here = [
                    Said(outcome, location["line"], text)
                    for outcome, text, location in said
                    if location and location["file"] == manifest.file and location["line"] in lines
                ]
                yield Judged(manifest, _dry_run(cluster, served, _without_namespace(manifest)), here)


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
