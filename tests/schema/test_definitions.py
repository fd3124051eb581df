"""Custom objects, judged by the definitions of the API server that is to take them."""

from pathlib import Path

import pytest
import yaml

from dynocheck.core.registry import load as load_registry
from dynocheck.facts import RecipePaths, ServedKinds
from dynocheck.recipe.definitions import load_definitions
from dynocheck.recipe.discover import load_recipes
from dynocheck.schema import Definitions, validate
from tests.checks.judging import FRONTEND, GRAPH, worker
from tests.command import ROOT, CommandResult, dynocheck
from tests.controlplane.server import ControlPlane
from tests.probes.looking import reach
from tests.recipe.widgets import WIDGET, widget
from tests.schema.samples import manifests

CASES = [
    (widget("size: 1"), []),
    (widget("size: 9, description: d"), []),
    (widget("size: 0"), ["spec.size: is 0, must be at least 1"]),
    (widget("size: 10"), ["spec: is too large"]),
    (widget("sizes: 1"), ["spec.size: is required", "spec.sizes: is no known field, did you mean size?"]),
    (widget("size: 1, link: nowhere"), []),  # a rule that only the server can evaluate
    (widget("anything: goes", "v1"), []),
]


@pytest.fixture
def definitions(tmp_path: Path) -> Definitions:
    (tmp_path / "widgets.yaml").write_text(WIDGET)
    return Definitions(load_definitions((str(tmp_path),)))


@pytest.mark.parametrize(("text", "says"), CASES)
def test_an_object_fits_its_definition(definitions: Definitions, text: str, says: list[str]) -> None:
    (manifest,) = manifests(text)
    found = validate(manifest, definitions)
    assert found is not None
    assert sorted(f"{violation.path}: {violation.message}" for violation in found) == says


@pytest.mark.parametrize("version", ["v0", "v3"])
def test_a_version_must_be_served(definitions: Definitions, version: str) -> None:
    (manifest,) = manifests(widget("size: 1", version))
    found = validate(manifest, definitions)
    assert found is not None
    (violation,) = found
    assert (violation.path, violation.line) == ("apiVersion", 1)
    assert violation.message.startswith(f'is "house.example/{version}", and ')
    assert violation.message.endswith("widgets.yaml:1 serves v2, v1")


def test_what_is_not_defined_there_is_judged_as_without(definitions: Definitions) -> None:
    (graph,) = manifests(GRAPH + FRONTEND.replace("type:", "typ:"))
    assert validate(graph, definitions) == validate(graph) != []
    (other,) = manifests(widget("size: 1").replace("Widget", "Gadget"))
    assert validate(other, definitions) is None


def test_published_definitions_say_what_the_built_in_schemas_say(published_crds: Path) -> None:
    published = (str(published_crds / "dynamo"), str(published_crds / "gateway-api" / "v1.5.1"))
    exact = Definitions(load_definitions(published))
    texts = [GRAPH + FRONTEND + worker(), GRAPH + FRONTEND.replace("frontend}", "frontend, replicas: x}")]
    given = [manifest for text in texts for manifest in manifests(text)]
    for recipe in load_recipes([str(ROOT / "recipes")]):
        given += recipe.manifests
    assert any(validate(manifest) for manifest in given)
    for manifest in given:
        assert validate(manifest, exact) == validate(manifest), manifest.file


# On the command line


def judge(folder: Path, text: str, *arguments: str | Path) -> CommandResult:
    (folder / "r").mkdir(exist_ok=True)
    (folder / "r" / "widget.yaml").write_text(text)
    return dynocheck("recipe", folder / "r", "-o", "json", "--select", "manifest.schema", *arguments)


def test_a_folder_of_definitions(tmp_path: Path) -> None:
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "widgets.yaml").write_text(WIDGET)
    crds = ("--crds", tmp_path / "crds")
    assert judge(tmp_path, widget("size: 1")).outcomes == {"manifest.schema": "unjudged"}
    assert judge(tmp_path, widget("size: 1"), *crds).outcomes == {"manifest.schema": "pass"}
    ended = judge(tmp_path, widget("size: 0"), *crds)
    finding = ended.finding("manifest.schema")
    assert (finding["outcome"], finding["location"]["line"]) == ("fail", 4)
    (tmp_path / "crds" / "broken.yaml").write_text("a: 1\nb: [\n")
    ended = judge(tmp_path, widget("size: 0"), *crds)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {tmp_path}/crds/broken.yaml:")


def test_the_definitions_of_a_cluster(cluster: ControlPlane, tmp_path: Path) -> None:
    cluster.apply(yaml.safe_load(WIDGET))
    reaching = ("--cluster", "--kubeconfig", cluster.kubeconfig(None))
    assert judge(tmp_path, widget("size: 1"), *reaching).outcomes == {"manifest.schema": "pass"}
    unserved = 'apiVersion: is "house.example/v0", and the cluster serves v2, v1'
    for text, says in ((widget("size: 10", "v2"), "spec: is too large"), (widget("size: 1", "v0"), unserved)):
        assert judge(tmp_path, text, *reaching).finding("manifest.schema")["message"] == says


def test_only_the_groups_of_the_recipes_are_fetched(cluster: ControlPlane, tmp_path: Path) -> None:
    cluster.apply(yaml.safe_load(WIDGET), yaml.safe_load(WIDGET.replace("house.example", "yard.example")))
    (tmp_path / "widget.yaml").write_text(widget("size: 1"))
    (probe,) = [p for p in load_registry().probes if p.provides is ServedKinds]
    seen = probe(RecipePaths((str(tmp_path),)), reach(cluster))
    assert isinstance(seen, ServedKinds)
    (kind,) = seen
    assert (kind.group, kind.kind, kind.served_versions) == ("house.example", "Widget", ("v2", "v1"))


def test_who_may_not_read_definitions_is_told(cluster: ControlPlane, tmp_path: Path) -> None:
    user = cluster.user("nobody")
    ended = judge(tmp_path, widget("size: 1"), "--cluster", "--kubeconfig", cluster.kubeconfig(user))
    assert (ended.code, ended.finding("manifest.schema")["outcome"]) == (3, "unknown")
    (verdict,) = ended.report["verdicts"]
    assert len(verdict["unjudged"]) == 1, "what is known without them is still told"
