"""--diff: only findings that are new since a git revision count."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from dynocheck.recipe import kustomize
from tests.checks.judging import FRONTEND, GRAPH, worker
from tests.command import CommandResult, dynocheck, run_inside
from tests.controlplane import build

FOUR = '--tensor-parallel-size, "4"'
BAD = GRAPH + FRONTEND + worker("a", args=FOUR) + worker("b", args=FOUR)
CHECK = "parallelism.gpus-match"
DEPLOY = "m/vllm/deploy.yaml"


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A repository whose one commit has a recipe with two defects."""
    put(tmp_path, DEPLOY, BAD)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def put(house: Path, name: str, text: str) -> None:
    path = house / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def commit(house: Path) -> None:
    git(house, "add", "-A")
    git(house, "commit", "-q", "-m", "x")


def run(house: Path, *arguments: str | Path, since: str = "HEAD", path: str | Path = "m") -> CommandResult:
    judged = ("--select", CHECK, "--select", "graph.frontend")
    return run_inside("recipe", path, "-o", "json", "--diff", since, *judged, *arguments, cwd=house)


def messages(ended: CommandResult) -> list[str]:
    return [finding["message"] for finding in ended.findings(CHECK)]


def verdict(ended: CommandResult) -> dict[str, Any]:
    (found,) = [v for v in ended.report["verdicts"] if v["check"] == CHECK]
    return dict(found)


def test_unchanged_findings_are_suppressed(house: Path) -> None:
    ended = run(house)
    assert ended.code == 0
    found = verdict(ended)
    assert (found["outcome"], found["message"]) == ("skip", "2 findings there already at HEAD")
    assert {aside["by"] for aside in found["suppressed"]} == {"diff"}


def test_a_change_within_a_component_brings_its_finding_back(house: Path) -> None:
    put(house, DEPLOY, BAD.replace("name: b\n", "name: b\n    replicas: 1\n"))
    assert messages(run(house)) == ["b: TP 4 needs 4 GPUs, a replica is given 1"]
    put(house, DEPLOY, BAD.replace("          command:", "          # the engine\n          command:", 1))
    assert messages(run(house)) == ["a: TP 4 needs 4 GPUs, a replica is given 1"]


def list_accepted(ended: CommandResult, check: str) -> list[str | None]:
    (found,) = [v for v in ended.report["verdicts"] if v["check"] == check]
    return [each["accepted"] for each in found["unjudged"]]


def test_what_was_not_judged_before_is_accepted_unless_its_component_changed(house: Path) -> None:
    check = "memory.weights-fit"
    strict = ("recipe", "m", "-o", "json", "--strict", "--select", check, "--select", "graph.frontend")
    put(house, DEPLOY, GRAPH + FRONTEND + worker("a", args="--model, x/a") + worker("b", args="--model, x/b"))
    commit(house)
    assert run_inside(*strict, cwd=house).code == 3
    same = run_inside(*strict, "--diff", "HEAD", cwd=house)
    assert (same.code, list_accepted(same, check)) == (0, ["--diff HEAD", "--diff HEAD"])
    put(house, DEPLOY, (house / DEPLOY).read_text().replace("x/b", "x/c"))
    ended = run_inside(*strict, "--diff", "HEAD", cwd=house)
    assert (ended.code, list_accepted(ended, check)) == (3, ["--diff HEAD", None])


def test_what_an_overlay_renders_is_compared_too(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (str(build.assets("kubectl") / "kubectl"), "kustomize")
    monkeypatch.setattr(kustomize, "_find_command", lambda: command)
    put(house, "k/base/kustomization.yaml", "resources: [graph.yaml]\n")
    put(house, "k/base/graph.yaml", BAD)
    put(house, "k/overlay/kustomization.yaml", "resources: [../base]\n")
    commit(house)
    assert len(verdict(run(house, path="k"))["suppressed"]) == 2
    put(house, "k/base/graph.yaml", BAD + worker("c", args=FOUR))
    assert messages(run(house, path="k")) == ["c: TP 4 needs 4 GPUs, a replica is given 1"]


def test_moved_lines_are_unchanged(house: Path) -> None:
    put(house, DEPLOY, f"# one\n# two\n{BAD}")
    assert run(house).code == 0


def test_a_defect_that_a_change_makes_elsewhere_counts(house: Path) -> None:
    put(house, DEPLOY, BAD.replace(FRONTEND, ""))
    ended = run(house)
    assert ended.outcomes["graph.frontend"] == "fail"
    assert messages(ended) == []


def test_a_new_file_counts_whole(house: Path) -> None:
    put(house, "m/sglang/deploy.yaml", BAD)
    assert len(messages(run(house))) == 2
    git(house, "add", "-A")
    assert len(messages(run(house))) == 2, "staged, too"
    commit(house)
    assert messages(run(house)) == []
    assert len(messages(run(house, since="HEAD~1"))) == 2


def test_a_new_recipe_counts_whole(house: Path) -> None:
    put(house, "n/vllm/deploy.yaml", BAD)
    assert len(messages(run(house, path="n"))) == 2


def test_file_names_that_git_quotes(house: Path) -> None:
    odd = 'm/vllm/dé "x" deploy.yaml'
    put(house, odd, BAD.replace("name: g", "name: odd"))
    commit(house)
    assert messages(run(house)) == []
    put(house, odd, BAD.replace("name: b\n", "name: b\n    replicas: 1\n"))
    assert len(messages(run(house))) == 1


def test_any_working_directory(house: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert run(elsewhere, path=house / "m").code == 0
    assert run(house / "m", path="vllm/deploy.yaml").code == 0
    assert run(house / "m", path=".").code == 0
    link = elsewhere / "link"
    link.symlink_to(house / "m")
    assert run(elsewhere, path=link).code == 0


def test_the_repository_is_not_written(house: Path) -> None:
    put(house, DEPLOY, f"# one\n{BAD}")
    index = (house / ".git" / "index").read_bytes()
    run(house)
    assert (house / ".git" / "index").read_bytes() == index
    assert sorted(path.name for path in house.iterdir()) == [".git", "m"]


@pytest.mark.parametrize("revision", ["nope", "-x", "--output=pwned", "", "HEAD:m", "HEAD --", "HEAD\n"])
def test_an_unknown_revision_is_a_usage_error(house: Path, revision: str) -> None:
    ended = run(house, since=revision)
    assert ended.code == 2
    assert "no such revision in" in ended.err
    assert ended.err.count("\n") == 1
    assert not (house / "pwned").exists()


def test_no_repository(tmp_path: Path) -> None:
    put(tmp_path, DEPLOY, BAD)
    ended = run(tmp_path)
    assert ended.code == 2
    assert "not a git repository" in ended.err
    assert ended.err.count("\n") == 1


def test_no_git(house: Path) -> None:
    ended = dynocheck("recipe", "m", "--diff", "HEAD", cwd=house, env={"PATH": "/nowhere"})
    assert ended.code == 2
    assert ended.err == "error: --diff needs the git command: No such file or directory\n"


def test_no_path(house: Path) -> None:
    ended = run_inside("recipe", "none", "--diff", "HEAD", cwd=house)
    assert ended.code == 2
    assert "none: No such file or directory" in ended.err
