"""Custom checks and probes, and the configuration of a site."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.command import ROOT, CommandResult, dynocheck, usage_error

RECIPE = ROOT / "recipes" / "qwen3-32b"
GREY, HANGS = 'return Weather("grey")', "import time; time.sleep(60)"
OWN = '''
"""Ours."""
from collections.abc import Iterator
from dynocheck import Finding, Skip, check, fail, probe, warn
from dynocheck.facts import Fact, Recipes

class Weather(Fact, frozen=True):
    sky: str

@probe()
def weather() -> Weather:
    return Weather("grey")

@check("house.sunny", title="The sun shines", aliases=["house.fair"])
def sunny(weather: Weather) -> Iterator[Finding]:
    """Fix: wait"""
    if weather.sky != "blue":
        yield fail(f"the sky is {weather.sky}")

@check("house.labels", title="Every graph is named after us")
def labels(recipes: Recipes) -> Iterator[Finding]:
    for recipe in recipes:
        for graph in recipe.graphs:
            if not graph.name.startswith("acme-"):
                yield warn(f"{graph.name} is not ours")
'''


BROKEN = """
from dynocheck import check
from dynocheck.facts import Recipes
@check("house.broken", title="It does not crash")
def broken(recipes: Recipes):
    raise ValueError("password=hunter2hunter2")
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "checks", "house", OWN)


def make_folder(folder: Path, name: str, module: str) -> Path:
    """A folder of custom checks that holds this module."""
    folder.mkdir()
    (folder / f"{name}.py").write_text(module)
    return folder


def judged(*arguments: str | Path, cwd: Path | None = None) -> CommandResult:
    return dynocheck("recipe", RECIPE, "-o", "json", *arguments, cwd=cwd)


def test_custom_checks_run_like_built_in_ones(own: Path) -> None:
    ended = judged("--checks-dir", own, "--select", "house")
    assert (ended.code, ended.outcomes) == (1, {"house.sunny": "fail", "house.labels": "warn"})
    by_alias = judged("--checks-dir", own, "--select", "house.fair")
    assert (by_alias.code, by_alias.outcomes) == (1, {"house.sunny": "fail"})
    assert "house.sunny" in dynocheck("checks", "--checks-dir", own).out
    assert "The sun shines" in dynocheck("explain", "house.sunny", "--checks-dir", own).out


def test_a_crashed_check_does_not_affect_others(own: Path) -> None:
    (own / "broken.py").write_text(BROKEN)
    ended = judged("--checks-dir", own, "--skip", "house.[ls]*")
    assert (ended.code, ended.outcomes["house.broken"]) == (3, "error")
    assert ended.outcomes["graph.frontend"] == "pass"
    message = ended.finding("house.broken")["message"]
    assert message == f"crashed: ValueError: password=[hidden] ({own / 'broken.py'}:6)"
    assert "hunter2" not in ended.out


@pytest.mark.parametrize(
    ("body", "outcome", "says", "fix"),
    [
        ("return 1 / 0", "error", "crashed: ZeroDivisionError", None),
        ('raise Unavailable("no window here", fix="open one")', "unknown", "no window here", "open one"),
        (HANGS, "unknown", "weather: no answer within 0.5 s", None),
    ],
    ids=["crashes", "has no answer", "hangs"],
)
def test_a_probe_that_gives_no_fact(own: Path, body: str, outcome: str, says: str, fix: str | None) -> None:
    module = OWN.replace(GREY, body).replace("import Finding", "import Unavailable, Finding")
    (own / "house.py").write_text(module)
    limit = ("--timeout", "0.5") if body == HANGS else ()
    selected = ("--select", "house.sunny", "--select", "graph.frontend")
    ended = judged("--checks-dir", own, *limit, *selected)
    assert (ended.code, ended.outcomes) == (3, {"house.sunny": outcome, "graph.frontend": "pass"})
    finding = ended.finding("house.sunny")
    assert says in finding["message"]
    assert fix in (None, finding["fix"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        (OWN.replace("(weather: Weather)", "(weather)"), "parameter weather is not typed as a fact"),
    ],
)
def test_an_invalid_module_is_an_error_of_its_own(own: Path, text: str, says: str) -> None:
    (own / "house.py").write_text(text)
    ended = judged("--checks-dir", own)
    assert ended.code == (1 if ended.outcomes.get("house.sunny") == "fail" else 3)
    assert ended.outcomes["graph.frontend"] == "pass"
    message = ended.finding("plugins.1-house")["message"]
    assert says in message
    assert str(own / "house.py") in message


def test_a_folder_without_checks_is_a_usage_error(tmp_path: Path) -> None:
    assert str(tmp_path) in usage_error("recipe", RECIPE, "--checks-dir", tmp_path)


# Tables

TABLES = """
from collections.abc import Iterator
from dynocheck import Row, probe, table
from dynocheck.facts import Fact, Recipes

class Moon(Fact, frozen=True):
    phase: str

@probe()
def moon() -> Moon:
    return Moon("full")

@table("graph.names", title="Names of graphs", note="as written")
def names(recipes: Recipes) -> Iterator[Row]:
    for recipe in recipes:
        for graph in recipe.graphs:
            yield {"name": graph.name, "nothing": None, "GPUs": graph.gpus}

@table("house.moon", title="Phases")
def phases(moon: Moon) -> Iterator[Row]:
    yield {"phase": moon.phase}

@table("house.empty", title="Nothing")
def empty(recipes: Recipes) -> Iterator[Row]:
    return iter(())

@table("house.broken", title="Broken")
def broken(recipes: Recipes) -> Iterator[Row]:
    yield {"a": 1}
    raise ValueError("hf_secretsecretsecret")
"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "tables", "tables", TABLES)


def tabled(*arguments: str | Path) -> dict[str, dict[str, Any]]:
    ended = judged(*arguments)
    assert ended.code == 0, "a table judges nothing"
    return ended.tables


def test_a_custom_table(tables: Path) -> None:
    found = tabled("--checks-dir", tables)
    assert set(found) == {"graph.variants", "graph.names", "house.broken"}, "none looks at the moon"
    names = found["graph.names"]
    assert (names["title"], names["note"]) == ("Names of graphs", "as written")
    assert names["columns"] == ["name", "GPUs"], "a column without anything in it is left out"
    assert len(names["rows"]) == len(found["graph.variants"]["rows"])
    broken = found["house.broken"]
    assert broken["rows"] == []
    assert broken["note"] == f"crashed: ValueError: [hidden] ({tables / 'tables.py'}:30)"


def test_a_table_follows_the_selection(tables: Path) -> None:
    own = ("--checks-dir", tables)
    assert set(tabled(*own, "--select", "graph")) == {"graph.variants", "graph.names"}
    assert set(tabled(*own, "--select", "model")) == set()
    assert set(tabled(*own, "--skip", "graph.names", "--skip", "house")) == {"graph.variants"}


def test_a_table_is_not_a_check(tables: Path) -> None:
    said = usage_error("recipe", RECIPE, "--checks-dir", tables, "--select", "graph.names")
    assert said == "error: no check here matches 'graph.names'; run `dynocheck checks` for the list\n"
    (tables / "more.py").write_text(TABLES)
    twice = judged("--checks-dir", tables).finding("plugins.1-tables")
    assert "two checks have the id graph.names" in twice["message"]


# Configuration


def test_a_configuration_file(own: Path, tmp_path: Path) -> None:
    (tmp_path / "dynocheck.toml").write_text(
        """
        skip = ["perf", "manifest.*"]
        checks-dirs = ["checks"]
        levels = { "house.labels" = "fail", "house.s*" = "warn" }
        """
    )
    ended = judged("--trust-config", cwd=tmp_path)
    assert (ended.code, ended.outcomes["house.labels"], ended.outcomes["house.sunny"]) == (1, "fail", "warn")
    assert not areas(ended) & {"perf", "manifest"}
    selected = judged("--select", "perf", "--trust-config", cwd=tmp_path)
    assert (areas(selected), selected.outcomes["perf.endpoint"]) == ({"perf"}, "pass")


def areas(ended: CommandResult) -> set[str]:
    return {check.partition(".")[0] for check in ended.outcomes}


def test_pyproject_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dynocheck]\nselect = ["graph"]\n')
    assert areas(judged(cwd=tmp_path)) == {"graph", "security"}, "which the tree cannot leave out"
    (tmp_path / "pyproject.toml").write_text('[tool.other]\nselect = ["graph"]\n')
    assert len(areas(judged(cwd=tmp_path))) > 1


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a recipe in a folder, and a configuration at its root that names custom checks."""
    root = tmp_path / "repository"
    shutil.copytree(RECIPE, root / "models" / "qwen3-32b")
    (root / ".git").mkdir()
    (root / "ops").mkdir()
    (root / "ops" / "house.py").write_text(OWN)
    (root / "dynocheck.toml").write_text(
        'select = ["graph", "house"]\nchecks-dirs = ["ops"]\n[levels]\n"house.labels" = "fail"\n'
    )
    return root


@pytest.mark.parametrize("format", ["table", "json", "junit", "sarif", "github", "markdown", "html"])
def test_every_format_names_the_configuration(repository: Path, tmp_path: Path, format: str) -> None:  # noqa: A002
    ended = dynocheck("recipe", repository / "models" / "qwen3-32b", "-o", format, cwd=tmp_path)
    assert ended.code == 0
    text = " ".join(ended.out.split())
    assert "repository/dynocheck.toml" in text
    assert "--checks-dir repository/ops" in text, "it says that custom checks of that folder are not loaded"


def test_custom_checks_of_a_found_file_are_loaded_when_asked_for(repository: Path, tmp_path: Path) -> None:
    judged = repository / "models" / "qwen3-32b"
    without = dynocheck("recipe", judged, "-o", "json", cwd=tmp_path)
    assert areas(without) == {"graph", "security"}
    asked = dynocheck("recipe", judged, "-o", "json", "--checks-dir", repository / "ops", cwd=tmp_path)
    assert asked.outcomes["house.labels"] == "fail"
    command = ("recipe", "models/qwen3-32b", "-o", "json")
    assert "house.labels" not in dynocheck(*command, cwd=repository).outcomes
    assert dynocheck(*command, "--trust-config", cwd=repository).code == 1


def test_the_configuration_is_printed(repository: Path) -> None:
    (repository / "models" / "pyproject.toml").write_text('[tool.dynocheck]\nselect = ["gpu.*"]\n')
    shown = dynocheck("config", "models", cwd=repository)
    assert shown.code == 0
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert 'select = ["gpu.*"] # models/pyproject.toml' in lines
    assert 'levels."house.labels" = "fail" # dynocheck.toml' in lines
    assert 'junit-unknown = "error" # default' in lines
    config = json.loads(dynocheck("config", "models", "-o", "json", cwd=repository).out)
    assert config["files"] == ["dynocheck.toml", "models/pyproject.toml"]
    assert {"key": "select", "value": ["gpu.*"], "file": "models/pyproject.toml"} in config["settings"]
    assert tomllib.loads(shown.out)["thresholds"]["kubernetes-version"] == "1.30", "what it prints is TOML"


def test_strict_counts_warnings(own: Path) -> None:
    arguments = ("--checks-dir", own, "--select", "house.labels")
    assert judged(*arguments).code == 0
    assert judged(*arguments, "--strict").code == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("select = ['no.such']", "dynocheck.toml: select: no check here matches 'no.such'"),
        (
            "skip = ['graph.fronted']",
            "skip: no check here matches 'graph.fronted'; did you mean graph.frontend",
        ),
        ("levels = { 'no.such' = 'warn' }", "dynocheck.toml: levels: no check here matches 'no.such'"),
        ("limits = ['ttft=5']", "limits of dynocheck.toml"),
        ("checks-dirs = ['nowhere']", "dynocheck.toml: checks-dirs: nowhere: no such directory"),
        ("colour = 1\nlimits = 5", "unknown key colour (keys: select, "),
    ],
)
def test_an_invalid_configuration_is_a_usage_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "dynocheck.toml").write_text(text)
    assert says in usage_error("recipe", RECIPE, "--trust-config", cwd=tmp_path)


def test_junit_may_show_unknown_as_skipped(own: Path, tmp_path: Path) -> None:
    (own / "house.py").write_text(OWN.replace(GREY, HANGS))
    command = ("recipe", RECIPE, "-o", "junit", "--select", "house.sunny", "--timeout", "0.2")
    assert "<error message=" in dynocheck(*command, "--checks-dir", own).out
    (tmp_path / "dynocheck.toml").write_text('junit-unknown = "skipped"\nchecks-dirs = ["checks"]\n')
    ended = dynocheck(*command, "--trust-config", cwd=tmp_path)
    assert "<skipped" in ended.out
    assert "<error" not in ended.out
    assert ended.code == 3, "the exit code stays"


CHART = """
from collections.abc import Iterator
from dynocheck import Mark, Panel, Series, chart
from dynocheck.facts import Recipes

@chart("house.sizes", title="How large graphs are", kind="histogram", note="by GPUs")
def sizes(recipes: Recipes) -> Iterator[Panel]:
    series = (Series(x=(1, 2, 4), y=(3, 1)),)
    yield Panel(title="graphs", x="GPUs", y="graphs", series=series, marks=(Mark("p50", 1.5),))

@chart("house.none", title="Nothing", kind="curve")
def none(recipes: Recipes) -> Iterator[Panel]:
    return iter(())

@chart("house.infinite", title="Too much", kind="timeline")
def infinite(recipes: Recipes) -> Iterator[Panel]:
    yield Panel(title="t", x="s", y="n", series=(Series(x=(0, 1), y=(float("inf"),)),))
"""


def test_a_custom_chart(tmp_path: Path) -> None:
    own, page = ("--checks-dir", make_folder(tmp_path / "charts", "charts", CHART)), tmp_path / "report.html"
    ended = judged(*own, "-o", f"html={page}")
    assert ended.code == 0, "a chart judges nothing"
    (chart,) = ended.report["charts"]
    assert (chart["id"], chart["kind"], chart["note"]) == ("house.sizes", "histogram", "by GPUs")
    series = {"name": "", "x": [1.0, 2.0, 4.0], "y": [3.0, 1.0], "labels": []}
    assert chart["panels"][0]["series"] == [series]
    assert ended.tables["house.infinite"]["note"].startswith("crashed: ValueError")
    assert "How large graphs are" in page.read_text()
    assert "How large graphs are" in dynocheck("recipe", RECIPE, *own).out
    assert "How large graphs are" not in dynocheck("recipe", RECIPE, *own, "--skip", "house.sizes").out
