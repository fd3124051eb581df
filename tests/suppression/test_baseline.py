"""Baselines of accepted findings."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.checks.judging import FRONTEND, GRAPH, worker
from tests.command import CommandResult, run_inside

FOUR = '--tensor-parallel-size, "4"'
BAD = GRAPH + FRONTEND + worker(args=FOUR)
CHECK = "parallelism.gpus-match"
JUDGED = ("--select", CHECK, "--select", "graph.frontend")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A repository of recipes with one defect and its baseline."""
    (tmp_path / "m" / "vllm").mkdir(parents=True)
    put(tmp_path, BAD)
    assert run(tmp_path, "--write-baseline", "old.json").code == 0
    return tmp_path


def put(house: Path, text: str) -> None:
    (house / "m" / "vllm" / "deploy.yaml").write_text(text)


def run(house: Path, *arguments: str | Path) -> CommandResult:
    return run_inside("recipe", "m", "-o", "json", *JUDGED, *arguments, cwd=house)


def gone(ended: CommandResult) -> list[Any]:
    """The rows of the table of what is gone."""
    return [
        row for table in ended.report["tables"] if table["id"] == "baseline.gone" for row in table["rows"]
    ]


def verdict(ended: CommandResult) -> dict[str, Any]:
    (found,) = [v for v in ended.report["verdicts"] if v["check"] == CHECK]
    return dict(found)


def test_a_baseline_holds_the_findings_of_a_run(house: Path) -> None:
    assert json.loads((house / "old.json").read_text()) == {
        "schema": "dynocheck.baseline/v1",
        "findings": [
            {
                "check": CHECK,
                "message": "w: TP 4 needs 4 GPUs, a replica is given 1",
                "file": "m/vllm/deploy.yaml",
            }
        ],
    }


def test_a_finding_in_the_baseline_is_suppressed(house: Path) -> None:
    assert run(house).code == 1
    ended = run(house, "--baseline", "old.json")
    assert ended.code == 0
    found = verdict(ended)
    assert (found["outcome"], found["message"]) == ("skip", "1 finding in the baseline old.json")
    assert found["suppressed"][0]["by"] == "baseline"
    assert gone(ended) == []


def test_a_finding_may_move_and_the_run_may_start_anywhere(house: Path) -> None:
    put(house, f"# a line\n# another\n{BAD}")
    assert run(house, "--baseline", "old.json").code == 0
    absolute = run_inside("recipe", house / "m", "--baseline", house / "old.json", *JUDGED)
    assert absolute.code == 0
    (house / "m" / "vllm" / "deploy.yaml").rename(house / "m" / "vllm" / "deploy-b.yaml")
    assert run(house, "--baseline", "old.json").code == 1, "another file"


def test_a_new_finding_counts(house: Path) -> None:
    put(house, BAD + worker("x", args=FOUR))
    ended = run(house, "--baseline", "old.json")
    assert ended.code == 1
    found = verdict(ended)
    assert found["message"] == "x: TP 4 needs 4 GPUs, a replica is given 1"
    assert len(found["suppressed"]) == 1


def test_a_finding_whose_number_changed_is_the_same(house: Path) -> None:
    put(house, BAD.replace('"4"', '"8"'))
    assert run(house, "--baseline", "old.json").code == 0
    put(house, BAD.replace('"4"', '"8"') + worker(args=FOUR))
    ended = run(house, "--baseline", "old.json")
    assert ended.code == 1, "two where there was one"
    assert verdict(ended)["message"].startswith("w: TP 8"), "the changed one is the new one"


def test_a_finding_is_suppressed_as_often_as_it_was_recorded(house: Path) -> None:
    put(house, f"{BAD}---{BAD.replace('name: g', 'name: h')}")
    assert run(house, "--baseline", "old.json").code == 1
    assert run(house, "--write-baseline", "two.json").code == 0
    (entry,) = json.loads((house / "two.json").read_text())["findings"]
    assert entry["count"] == 2
    assert run(house, "--baseline", "two.json").code == 0


def test_stale_findings_are_listed(house: Path) -> None:
    put(house, GRAPH + FRONTEND + worker())
    ended = run(house, "--baseline", "old.json")
    assert (ended.code, verdict(ended)["outcome"]) == (0, "pass")
    assert gone(ended) == [[CHECK, "m/vllm/deploy.yaml", "w: TP 4 needs 4 GPUs, a replica is given 1"]]
    other = run(house, "--baseline", "old.json", "--skip", CHECK)
    assert gone(other) == [], "it was not judged"
    (house / "n" / "vllm").mkdir(parents=True)
    (house / "n" / "vllm" / "deploy.yaml").write_text(GRAPH + FRONTEND + worker())
    beside = run_inside("recipe", "n", "-o", "json", "--baseline", "old.json", *JUDGED, cwd=house)
    assert gone(beside) == [], "its file was not judged"


def test_a_baseline_of_other_files_says_so(house: Path) -> None:
    run(house, "--write-baseline", "old.json")
    (house / "elsewhere").mkdir()
    (house / "old.json").rename(house / "elsewhere" / "old.json")
    ended = run(house, "--baseline", "elsewhere/old.json")
    (note,) = ended.report["target"]["config notes"]
    assert note.startswith("elsewhere/old.json: none of its files is judged")


def test_sarif_has_the_suppression(house: Path) -> None:
    ended = run_inside("recipe", "m", "-o", "sarif", "--baseline", "old.json", "--select", CHECK, cwd=house)
    (result,) = json.loads(ended.out)["runs"][0]["results"]
    assert result["suppressions"] == [{"kind": "external", "justification": "in the baseline old.json"}]


def test_findings_about_a_cluster_can_be_recorded(tmp_path: Path) -> None:
    demo = ("preflight", "--snapshot", "dynocheck/data/demo.json", "-o", "json")
    assert run_inside(*demo).code == 1
    file = tmp_path / "old.json"
    assert run_inside(*demo, "--write-baseline", file).code == 0
    ended = run_inside(*demo, "--baseline", file)
    assert (ended.code, ended.outcomes["gpu.allocatable"]) == (0, "skip")
    subjects = {entry.get("subject") for entry in json.loads(file.read_text())["findings"]}
    assert "Node gpu-3" in subjects


def test_secrets_are_redacted(house: Path) -> None:
    put(house, BAD.replace("name: w", "name: hf_abcdefghijklmnopqrstuvwx"))
    assert run(house, "--write-baseline", "old.json").code == 0
    assert "hf_abc" not in (house / "old.json").read_text()
    assert run(house, "--baseline", "old.json").code == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "old.json: not a baseline: "),
        ("[]", "old.json: not a baseline: "),
        ("[" * 100_000, "old.json: not a baseline: "),
        (
            '{"schema": "dynocheck.baseline/v2", "findings": []}',
            "this version reads dynocheck.baseline/v1",
        ),
        (
            '{"schema": "dynocheck.baseline/v1", "findings": [{"check": 1}]}',
            "not a baseline: Expected `str`",
        ),
        (
            '{"schema": "dynocheck.baseline/v1", "findings": [{"check": "a", "message": "b", "count": 0}]}',
            "not a baseline: Expected `int` >= 1",
        ),
    ],
)
def test_an_invalid_baseline_is_a_usage_error(house: Path, content: str, says: str) -> None:
    (house / "old.json").write_text(content)
    ended = run(house, "--baseline", "old.json")
    assert ended.code == 2
    assert says in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--baseline", "none.json"], "none.json: No such file or directory"),
        (["--baseline", "m"], "m: Is a directory"),
        (["--write-baseline", "no/such/folder.json"], "no/such/folder.json: No such file or directory"),
        (["--baseline", "old.json", "--write-baseline", "new.json"], "give only one"),
    ],
)
def test_an_unusable_file_is_a_usage_error(house: Path, arguments: list[str], says: str) -> None:
    ended = run(house, *arguments)
    assert ended.code == 2
    assert says in ended.err
