"""Reports of a run in a sub-folder of a repository, as CI servers run it."""

import json
import subprocess
from pathlib import Path

import pytest

from dynocheck.core.paths import relate
from tests.checks.judging import FRONTEND, GRAPH, worker
from tests.command import run_inside
from tests.reports.readers import read_as_action_junit_report, read_as_gitlab
from tests.reports.schemas import valid_junit, valid_sarif

CHECK = "parallelism.gpus-match"
BAD = GRAPH + FRONTEND + worker(args='--tensor-parallel-size, "4"')
DEPLOY = "serving/recipes/m/vllm/deploy.yaml"
VARIABLES = ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITLAB_CI", "CI_PROJECT_DIR")


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a recipe two folders down."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    file = tmp_path / DEPLOY
    file.parent.mkdir(parents=True)
    file.write_text(BAD)
    return tmp_path


def render(folder: Path, format: str, path: str = "recipes/m") -> str:  # noqa: A002
    return run_inside("recipe", path, "-o", format, "--select", CHECK, cwd=folder).out


@pytest.mark.parametrize("folder", [".", "serving", "serving/recipes/m/vllm"])
def test_files_are_named_from_the_root_wherever_one_stands(repository: Path, folder: str) -> None:
    path = str(repository / "serving" / "recipes" / "m")
    assert f"file={DEPLOY},line=9," in render(repository / folder, "github", path)
    (result,) = valid_sarif(render(repository / folder, "sarif", path))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": DEPLOY, "uriBaseId": "%SRCROOT%"}


def test_paths_as_they_were_given(repository: Path) -> None:
    assert f"file={DEPLOY},line=9," in render(repository / "serving", "github")
    assert f"file={DEPLOY},line=9," in render(repository / "serving" / "recipes" / "m", "github", ".")
    assert f"file={DEPLOY},line=9," in render(repository / "serving" / "recipes", "github", "../recipes/m")


def test_the_repository_of_the_judged_path_and_not_the_one_that_one_stands_in(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "-q", other], check=True)
    assert f"file={DEPLOY},line=9," in render(other, "github", str(repository / "serving"))


def test_a_copy_without_git_is_named_from_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / DEPLOY
    file.parent.mkdir(parents=True)
    file.write_text(BAD)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert f"file={DEPLOY},line=9," in render(tmp_path / "serving", "github")


def test_junit_has_places_where_the_reader_looks_for_them(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = read_as_gitlab(valid_junit(render(repository / "serving", "junit")))
    assert case.place is None, "Jenkins would reject the file"
    monkeypatch.setenv("GITLAB_CI", "true")
    (case,) = read_as_gitlab(valid_junit(render(repository / "serving", "junit"), places=True))
    assert case.place == DEPLOY
    monkeypatch.delenv("GITLAB_CI")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    (case,) = read_as_action_junit_report(valid_junit(render(repository / "serving", "junit"), places=True))
    assert case.place == f"{DEPLOY}:9"


def test_sarif_has_the_page_of_every_check(repository: Path) -> None:
    log = json.loads(run_inside("recipe", "serving", "-o", "sarif", cwd=repository).out)
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert len(rules) > 50
    assert all(rule["help"]["text"] != rule["shortDescription"]["text"] for rule in rules)


def test_a_path_through_a_link_keeps_the_name_that_the_repository_has(tmp_path: Path) -> None:
    (tmp_path / "real" / "m").mkdir(parents=True)
    (tmp_path / "real" / "alias").symlink_to("m")
    (tmp_path / "link").symlink_to("real")
    root = str(tmp_path / "real")
    assert relate(f"{root}/alias/a.yaml", root) == "alias/a.yaml"
    assert relate(str(tmp_path / "link" / "m" / "a.yaml"), root) == "m/a.yaml"
    assert relate(str(tmp_path / "other.yaml"), root) == str(tmp_path / "other.yaml")
    assert relate("/a.yaml", "/") == "a.yaml"
