"""What kustomize makes of an overlay is judged like a file."""

import json
from pathlib import Path
from threading import Barrier

import pytest

from dynocheck.checks.engine.flags import flags_known
from dynocheck.checks.manifest.objects import duplicates, namespaces
from dynocheck.checks.structure.layout import files, layout, read_whole
from dynocheck.facts import Recipes
from dynocheck.recipe import discover, kustomize
from dynocheck.recipe.discover import load_recipes
from dynocheck.recipe.renderers import Rendering
from tests.checks.judging import outcomes, places, run_check
from tests.checks.manifests import claim, dump_objects, engine, graph
from tests.controlplane import build

TYPO = {"op": "add", "path": "/spec/components/1/podTemplate/spec/containers/0/args/-", "value": "--typo"}
OVERLAY = {
    "resources": ["../base"],
    "patches": [{"target": {"kind": "DynamoGraphDeployment"}, "patch": json.dumps([TYPO])}],
}


@pytest.fixture(autouse=True)
def renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kustomize of the test control plane's kubectl; other tests have none."""
    command = (str(build.assets("kubectl") / "kubectl"), "kustomize")
    monkeypatch.setattr(kustomize, "_find_command", lambda: command)


def write(folder: Path, name: str, *objects: dict[str, object]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump_objects(*objects))


def write_tree(folder: Path, overlay: dict[str, object]) -> None:
    write(folder, "base/kustomization.yaml", {"resources": ["graph.yaml"]})
    write(folder, "base/graph.yaml", graph(engine()))
    write(folder, "overlay/kustomization.yaml", overlay)


def load(folder: Path, *, render: bool = True) -> Recipes:
    return Recipes(load_recipes([str(folder)], render=render))


def test_an_overlay_is_judged_as_it_is_rendered(tmp_path: Path) -> None:
    write_tree(tmp_path, OVERLAY)
    assert outcomes(layout, load(tmp_path, render=False)) == ["unknown"]
    ((outcome, place),) = places(flags_known, load(tmp_path))
    assert (outcome, place.partition(":")[0]) == ("fail", "kustomization.yaml (rendered)")
    assert outcomes(layout, load(tmp_path)) == outcomes(read_whole, load(tmp_path)) == []


def test_the_working_directory_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "kustomization.yaml", {"resources": ["claim.yaml"]})
    write(tmp_path, "claim.yaml", claim())
    monkeypatch.chdir(tmp_path)
    given = Recipes(load_recipes(["."], render=True))
    assert outcomes(read_whole, given) == []
    assert outcomes(layout, given) == ["skip"]


def test_what_is_rendered_is_judged_though_it_is_no_graph(tmp_path: Path) -> None:
    write(tmp_path, "kustomization.yaml", {"resources": ["claim.yaml"], "namePrefix": "a-"})
    write(tmp_path, "claim.yaml", claim())
    assert outcomes(layout, load(tmp_path, render=False)) == ["unknown"]
    assert outcomes(layout, load(tmp_path)) == ["skip"]


def test_rendered_output_that_is_there_is_not_made_anew(tmp_path: Path) -> None:
    write_tree(tmp_path / "kustomize", OVERLAY)
    write(tmp_path, "deploy.yaml", graph(engine()))
    assert outcomes(flags_known, load(tmp_path)) == []


def test_a_file_that_a_kustomization_leaves_out_is_an_alternative(tmp_path: Path) -> None:
    """Nobody applies both; two files that it leaves out may be applied together."""
    write(tmp_path, "kustomization.yaml", {"resources": ["gpu.yaml"]})
    write(tmp_path, "gpu.yaml", claim())
    write(tmp_path, "cpu.yaml", claim())
    assert outcomes(duplicates, load(tmp_path)) == []
    write(tmp_path, "tpu.yaml", claim())
    assert outcomes(duplicates, load(tmp_path)) == ["warn"]


@pytest.mark.parametrize(
    "overlay",
    [
        {"resources": ["https://example.com/graph.yaml"]},
        {"resources": ["https://github.com/example/recipes//base?ref=main"]},
    ],
)
def test_an_overlay_that_cannot_be_rendered(tmp_path: Path, overlay: dict[str, object]) -> None:
    write_tree(tmp_path, overlay)
    assert places(read_whole, load(tmp_path)) == [("warn", "kustomization.yaml:1")]


def test_a_base_that_is_missing_is_told_once(tmp_path: Path) -> None:
    write_tree(tmp_path, {"resources": ["../elsewhere"]})
    given = load(tmp_path)
    assert places(files, given) == [("fail", "kustomization.yaml:2")]
    assert outcomes(read_whole, given) == outcomes(layout, given) == []


def test_overlays_rendered_at_once_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"overlay-{i}" for i in range(4)]
    for name in names:
        write(tmp_path, f"{name}/kustomization.yaml", {"resources": ["graph.yaml"]})
        write(tmp_path, f"{name}/graph.yaml", graph(engine(), name=name))
    together, render = Barrier(len(names)), kustomize.render_overlay

    def render_together(folder: str) -> Rendering | None:
        together.wait(timeout=20)
        return render(folder)

    monkeypatch.setattr(discover, "render_overlay", render_together)
    (recipe,) = load(tmp_path)
    assert [each.name for each in recipe.graphs] == names


@pytest.mark.parametrize(
    ("overlay", "reason"),
    [
        ({"resources": ["../base"], "configMapGenerator": [{"name": "a", "envs": ["none.env"]}]}, "none.env"),
        (
            {"resources": ["../base"], "helmCharts": [{"name": "a", "repo": "https://charts.example"}]},
            "enable-helm",
        ),
        ({"resources": ["../base", "https://github.com/a/b//c?ref=d"]}, "without the network"),
    ],
)
def test_why_an_overlay_is_not_rendered_is_told_once(
    tmp_path: Path, overlay: dict[str, object], reason: str
) -> None:
    write_tree(tmp_path, overlay)
    (finding,) = run_check(layout, load(tmp_path))
    assert reason in finding.message
    assert outcomes(read_whole, load(tmp_path)) == []


def test_namespaces_that_an_overlay_sets_are_its_own(tmp_path: Path) -> None:
    write(tmp_path, "kustomization.yaml", {"resources": ["a", "b"]})
    for name in ("a", "b"):
        write(tmp_path, f"{name}/kustomization.yaml", {"resources": ["claim.yaml"], "namespace": name})
        write(tmp_path, f"{name}/claim.yaml", claim())
    assert outcomes(namespaces, load(tmp_path)) == []
