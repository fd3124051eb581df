"""Custom checks and probes, and the configuration of a site."""

from __future__ import annotations

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
    return make_folder(tmp_path, "checks", OWN)


def make_folder(folder: Path, name: str, module: str) -> Path:
    """A folder of custom checks that holds this module, of the same name."""
    (folder / name).mkdir()
    (folder / name / f"{name}.py").write_text(module)
    return folder / name


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
    assert ended.finding("house.broken")["message"] == "crashed: ValueError in broken.py, line 6"
    assert "hunter2" not in ended.out


@pytest.mark.parametrize(
    ("body", "outcome", "says", "fix"),
    [
        ("return 1 / 0", "error", "probe weather: crashed: ZeroDivisionError in checks.py, line 12", None),
        ('raise Unavailable("no window here", fix="open one")', "unknown", "no window here", "open one"),
        (HANGS, "unknown", "weather: no answer within 0.5 s", None),
    ],
    ids=["crashes", "has no answer", "hangs"],
)
def test_a_probe_that_gives_no_fact(own: Path, body: str, outcome: str, says: str, fix: str | None) -> None:
    module = OWN.replace(GREY, body).replace("import Finding", "import Unavailable, Finding")
    (own / "checks.py").write_text(module)
    limit = ("--timeout", "0.5") if body == HANGS else ()
    selected = ("--select", "house.sunny", "--select", "graph.frontend")
    ended = judged("--checks-dir", own, *limit, *selected)
    assert (ended.code, ended.outcomes) == (3, {"house.sunny": outcome, "graph.frontend": "pass"})
    finding = ended.finding("house.sunny")
    assert finding["message"] == says
    assert fix in (None, finding["fix"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        (OWN.replace("house.sunny", "Sunny"), "'Sunny' is not of the form area.kebab-name"),
        (OWN.replace("house.labels", "house.sunny"), "two checks have the id house.sunny"),
        (OWN.replace("(weather: Weather)", "(weather: int)"), "parameter weather is not typed as a fact"),
        (OWN.replace("(weather: Weather)", "(weather)"), "parameter weather is not typed as a fact"),
        (OWN.replace("def weather() -> Weather", "def weather() -> int"), "its return type is not a fact"),
    ],
)
def test_an_invalid_module_is_a_usage_error(own: Path, text: str, says: str) -> None:
    (own / "checks.py").write_text(text)
    assert says in usage_error("recipe", RECIPE, "--checks-dir", own)


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
    return make_folder(tmp_path, "tables", TABLES)


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
    assert (broken["rows"], broken["note"]) == ([], "crashed: ValueError in tables.py, line 30")


def test_a_table_follows_the_selection(tables: Path) -> None:
    own = ("--checks-dir", tables)
    assert set(tabled(*own, "--select", "graph")) == {"graph.variants", "graph.names"}
    assert set(tabled(*own, "--select", "model")) == set()
    assert set(tabled(*own, "--skip", "graph.names", "--skip", "house")) == {"graph.variants"}


def test_a_table_is_not_a_check(tables: Path) -> None:
    said = usage_error("recipe", RECIPE, "--checks-dir", tables, "--select", "graph.names")
    assert said == "error: no check here matches 'graph.names'; run `dynocheck checks` for the list\n"
    (tables / "more.py").write_text(TABLES)
    assert "two checks have the id graph.names" in usage_error("recipe", RECIPE, "--checks-dir", tables)


# Configuration


def test_a_configuration_file(own: Path, tmp_path: Path) -> None:
    (tmp_path / "dynocheck.toml").write_text(
        """
        skip = ["perf", "manifest.*"]
        checks-dirs = ["checks"]
        levels = { "house.labels" = "fail", "house.s*" = "warn" }
        """
    )
    ended = judged(cwd=tmp_path)
    assert (ended.code, ended.outcomes["house.labels"], ended.outcomes["house.sunny"]) == (1, "fail", "warn")
    assert not areas(ended) & {"perf", "manifest"}
    selected = judged("--select", "perf", cwd=tmp_path)
    assert (areas(selected), selected.outcomes["perf.endpoint"]) == ({"perf"}, "pass")


def areas(ended: CommandResult) -> set[str]:
    return {check.partition(".")[0] for check in ended.outcomes}


def test_pyproject_is_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dynocheck]\nselect = ["graph"]\n')
    assert areas(judged(cwd=tmp_path)) == {"graph"}
    (tmp_path / "pyproject.toml").write_text('[tool.other]\nselect = ["graph"]\n')
    assert len(areas(judged(cwd=tmp_path))) > 1


def test_strict_counts_warnings(own: Path) -> None:
    arguments = ("--checks-dir", own, "--select", "house.labels")
    assert judged(*arguments).code == 0
    assert judged(*arguments, "--strict").code == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour = 1", "unknown field `colour`"),
        ("thresholds = { kubernetes = '1.30' }", "unknown field `kubernetes`"),
        ("thresholds = { read-gigabytes = 0 }", "Expected `float` > 0"),
        ("thresholds = { read-gigabytes = nan }", "Expected `float`"),
        ("select = 'graph'", "Expected `array`, got `str`"),
        ("limits = ['error_rate=0', 5]", "Expected `str`, got `int` - at `$.limits[1]`"),
        ("levels = { 'graph.frontend' = 'loud' }", "Invalid enum value 'loud'"),
        ("select = ['no.such']", "no check here matches 'no.such'"),
        ("levels = { 'no.such' = 'warn' }", "no check here matches 'no.such'"),
        ("select = [", "not TOML"),
    ],
)
def test_an_invalid_configuration_is_a_usage_error(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "dynocheck.toml").write_text(text)
    assert says in usage_error("recipe", RECIPE, cwd=tmp_path)


def test_junit_may_show_unknown_as_skipped(own: Path, tmp_path: Path) -> None:
    (own / "checks.py").write_text(OWN.replace(GREY, HANGS))
    command = ("recipe", RECIPE, "-o", "junit", "--select", "house.sunny", "--timeout", "0.2")
    assert "<error message=" in dynocheck(*command, "--checks-dir", own).out
    (tmp_path / "dynocheck.toml").write_text('junit-unknown = "skipped"\nchecks-dirs = ["checks"]\n')
    ended = dynocheck(*command, cwd=tmp_path)
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
    own, page = ("--checks-dir", make_folder(tmp_path, "charts", CHART)), tmp_path / "report.html"
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
