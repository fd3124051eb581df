"""Where limits come from: the command line, over the configuration, over a recipe; on a real Dynamo."""

from pathlib import Path
from typing import Any

import pytest

from tests.checks.manifests import dump_objects, graph
from tests.command import CommandResult, dynocheck, run_inside, usage_error
from tests.dynamo.server import CONTEXT, Dynamo
from tests.smoke.asking import smoke

ALLOWED, FORBIDDEN = "error_rate=100%", "error_rate=0"
CONFIG, HERE = "dynocheck.toml", "limits of dynocheck.toml"


@pytest.fixture(scope="module")
def refused(dynamo: Dynamo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which every request failed: its prompts are longer than the context."""
    saved = tmp_path_factory.mktemp("run") / "run.json"
    size = ("--isl", str(2 * CONTEXT), "--requests", "3", "--warmup", "0")
    assert dynocheck("load", "--url", dynamo.url, *size, "--save", saved).code == 1
    return saved


def promising(annotation: Any, **more: Any) -> dict[str, Any]:
    made = graph(**more)
    made["metadata"]["annotations"] = {"dynocheck.dev/limits": annotation}
    return made


def judged(run: Path, folder: Path, *more: str, config: str = "", recipe: Any = None) -> CommandResult:
    """The run, in a folder with this configuration, and with this annotation in a recipe."""
    (folder / CONFIG).write_text(config and f"limits = ['{config}']")
    if recipe is not None:
        (folder / "deploy.yaml").write_text(dump_objects(promising(recipe)))
        more = (*more, "--recipe", "deploy.yaml")
    return run_inside("load", "--from", run, "-o", "json", *more, cwd=folder)


def source(ended: CommandResult) -> str:
    """Who gave the one limit that is broken."""
    finding = ended.finding("load.limits")
    assert finding["outcome"] == "fail"
    said: str = finding["evidence"]["source"]
    return said


def stated(ended: CommandResult) -> list[str]:
    """The limits that count, without who gave them."""
    return [limit.partition(" (")[0] for limit in ended.report["target"]["limits"]]


def test_who_says_so_is_told_where_a_limit_is_broken(refused: Path, tmp_path: Path) -> None:
    assert source(judged(refused, tmp_path, "--limit", FORBIDDEN)) == "--limit"
    assert source(judged(refused, tmp_path, config=FORBIDDEN)) == HERE
    by_recipe = source(judged(refused, tmp_path, recipe=FORBIDDEN))
    line, column = map(int, by_recipe.removeprefix("deploy.yaml:").split(":"))
    assert (tmp_path / "deploy.yaml").read_text().splitlines()[line - 1][column - 1 :] == FORBIDDEN


def test_the_command_line_over_the_configuration_over_the_recipe(refused: Path, tmp_path: Path) -> None:
    flag = ("--limit", ALLOWED)
    over_both = judged(refused, tmp_path, *flag, config=FORBIDDEN, recipe=FORBIDDEN)
    assert (over_both.outcomes["load.limits"], over_both.outcomes["load.errors"]) == ("pass", "warn")
    assert over_both.report["target"]["limits"] == [f"{ALLOWED} (--limit)"]
    assert judged(refused, tmp_path, config=ALLOWED, recipe=FORBIDDEN).outcomes["load.limits"] == "pass"
    assert source(judged(refused, tmp_path, config=FORBIDDEN, recipe=ALLOWED)) == HERE


def test_what_is_not_named_again_counts_too(refused: Path, tmp_path: Path) -> None:
    ended = judged(
        refused, tmp_path, "--limit", "ttft.p95=1s", config=FORBIDDEN, recipe="ttft.p95.0=2s\nttft.p50=1s,,"
    )
    assert stated(ended) == ["ttft.p95=1s", FORBIDDEN, "ttft.p50=1s"]
    without = judged(refused, tmp_path, recipe="")
    assert (without.outcomes["load.limits"], "limits" in without.report["target"]) == ("skip", False)


@pytest.mark.parametrize("file", [CONFIG, "pyproject.toml", "site.toml"])
def test_a_configured_limit_that_means_none_is_wrong_usage(tmp_path: Path, file: str) -> None:
    table = "[tool.dynocheck]\n" if file == "pyproject.toml" else ""
    (tmp_path / file).write_text(f"{table}limits = ['error_rate=0', 'ttft.p95=fast']")
    (tmp_path / "deploy.yaml").write_text(dump_objects(graph()))
    given = ("--config", file) if file == "site.toml" else ()
    for verb in (("recipe", "deploy.yaml"), ("load", "--url", "http://h"), ("smoke", "--url", "http://h")):
        said = f"error: limits of {file}: ttft.p95=fast: not of the form ttft.p95=500ms or error_rate=1%\n"
        assert usage_error(*verb, *given, cwd=tmp_path) == said


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no recipe in it"),
        ({"job": {"kind": "ConfigMap", "apiVersion": "v1"}}, "has none"),
        ({"a": promising(FORBIDDEN, name="one"), "b": graph(name="two")}, "one (a.yaml), two (b.yaml)"),
        ({"a": promising(FORBIDDEN), "b": "a: [b"}, "b.yaml:1:4: not YAML: "),
        ({"a": promising("ttft.p95=1s error_rate=2")}, "a.yaml:6:27: error_rate=2: it takes a share"),
        ({"a": promising(5)}, "a.yaml:6:27: dynocheck.dev/limits is not a string"),
    ],
)
def test_a_recipe_without_one_graph_that_can_be_understood(
    tmp_path: Path, files: dict[str, Any], says: str
) -> None:
    for name, content in files.items():
        text = content if isinstance(content, str) else dump_objects(content)
        (tmp_path / f"{name}.yaml").write_text(text)
    assert says in usage_error("load", "--url", "http://h", "--recipe", ".", cwd=tmp_path)


def test_smoke_holds_its_small_load_to_all_of_them(dynamo: Dynamo, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("limits = ['error_rate=0']")
    (tmp_path / "deploy.yaml").write_text(dump_objects(promising("ttft.max=1us, e2e.max=1h")))
    more = ("--select", "load", "--config", tmp_path / "site.toml", "--recipe", tmp_path)
    assert smoke(dynamo.url, *more).code == 2, "a limit in hours is none"
    (tmp_path / "deploy.yaml").write_text(dump_objects(promising("ttft.max=1us, error_rate=100%")))
    ended = smoke(dynamo.url, *more, "--limit", "requests_per_s=0")
    assert stated(ended) == ["requests_per_s=0", "error_rate=0", "ttft.max=1us"]
    broken = [each for each in ended.findings("load.limits") if each["message"].startswith("ttft.max=1us")]
    assert [each["evidence"]["source"] for each in broken] == [f"{tmp_path}/deploy.yaml:6:27"]


def test_what_brings_limits_itself_needs_no_recipe() -> None:
    reached = ("--kubeconfig", "none", "--recipe", "recipes/qwen3-32b/vllm/agg-round-robin")
    job = ("--in-cluster", "--image", "i")
    for verb in (("smoke", "chat"), ("load", "chat", *job, "--apply"), ("load", "--url", "http://h", *job)):
        assert "--recipe" in usage_error(*verb, *reached)
