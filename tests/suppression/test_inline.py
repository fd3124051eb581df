"""Findings suppressed by a comment, in every report."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.checks.judging import FRONTEND, GRAPH, worker
from tests.command import CommandResult, run_inside
from tests.reports.schemas import valid_report

GOOD = GRAPH + FRONTEND + worker()
BAD = GRAPH + FRONTEND + worker(args='--tensor-parallel-size, "4"')
NAMED = "  - name: w"
CHECK = "parallelism.gpus-match"
COMMENTS = "structure.ignore-comments"
JUDGED = ("graph.frontend", "parallelism", COMMENTS)


def judge(folder: Path, text: str, *arguments: str, name: str = "deploy.yaml") -> CommandResult:
    (folder / "vllm").mkdir(exist_ok=True)
    (folder / "vllm" / name).write_text(text)
    given = arguments or ("-o", "json", *(part for check in JUDGED for part in ("--select", check)))
    return run_inside("recipe", folder, *given)


def noted(comment: str, text: str = BAD) -> str:
    return text.replace(NAMED, f"{NAMED}  # dynocheck: {comment}")


def verdict(ended: CommandResult, check: str) -> dict[str, Any]:
    (found,) = [v for v in ended.report["verdicts"] if v["check"] == check]
    valid_report(ended.out)
    return dict(found)


def said(ended: CommandResult) -> list[str]:
    return [finding["message"] for finding in ended.findings(COMMENTS)]


def test_without_a_comment_it_counts(tmp_path: Path) -> None:
    assert judge(tmp_path, BAD).code == 1


@pytest.mark.parametrize("ids", [CHECK, "parallelism", "parallelism.*", f"graph.frontend, {CHECK}"])
def test_a_comment_suppresses_a_finding(tmp_path: Path, ids: str) -> None:
    ended = judge(tmp_path, noted(f"ignore[{ids}] shared by four"))
    found = verdict(ended, CHECK)
    assert (ended.code, found["outcome"]) == (0, "skip")
    (aside,) = found["suppressed"]
    assert (aside["by"], aside["reason"]) == ("comment", "shared by four")
    by = f"{tmp_path}/vllm/deploy.yaml:{aside['place']['line']}"
    assert found["message"].startswith(f"1 finding ignored by {by}:")
    assert aside["finding"]["message"] == "w: TP 4 needs 4 GPUs, a replica is given 1"


def test_a_comment_above_the_line_or_for_the_file(tmp_path: Path) -> None:
    above = BAD.replace(NAMED, f"  # dynocheck: ignore[{CHECK}] r\n{NAMED}")
    assert judge(tmp_path, above).code == 0
    assert judge(tmp_path, f"# dynocheck: ignore-file[{CHECK}] r\n{BAD}").code == 0
    elsewhere = judge(tmp_path, BAD.replace("kind:", f"# dynocheck: ignore[{CHECK}] r\nkind:"))
    assert elsewhere.code == 1


def test_other_findings_count(tmp_path: Path) -> None:
    two = noted(f"ignore[{CHECK}] r") + worker("x", args='--tensor-parallel-size, "8"')
    ended = judge(tmp_path, two)
    found = verdict(ended, CHECK)
    assert (ended.code, found["outcome"]) == (1, "fail")
    assert found["message"] == "x: TP 8 needs 8 GPUs, a replica is given 1"
    assert len(found["suppressed"]) == 1
    table = judge(tmp_path, two, "-o", "table").out
    table = " ".join(table.split())
    assert f"- 1 finding ignored by {tmp_path}/vllm/deploy.yaml:" in table
    assert f": r ({CHECK})" in table
    assert ", 1 finding suppressed, " in table


def test_every_format_shows_the_suppression(tmp_path: Path) -> None:
    text = noted(f"ignore[{CHECK}] as <agreed>")
    (result,) = json.loads(judge(tmp_path, text, "-o", "sarif", "--select", CHECK).out)["runs"][0]["results"]
    (suppression,) = result["suppressions"]
    assert (suppression["kind"], suppression["justification"]) == ("inSource", "as <agreed>")
    assert "vllm/deploy.yaml" in suppression["location"]["physicalLocation"]["artifactLocation"]["uri"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == (
        text[: text.index(NAMED)].count("\n") + 1
    )
    noticed = judge(tmp_path, text, "-o", "github", "--select", CHECK).out
    assert noticed.startswith("::notice title=dynocheck::1 finding ignored by ")
    assert f": as <agreed> ({CHECK})" in noticed
    assert ": as &lt;agreed&gt;" in judge(tmp_path, text, "-o", "junit", "--select", CHECK).out
    alone = judge(tmp_path, text, "--select", CHECK)
    assert alone.code == 0, "it was judged, though nothing else was"


# structure.ignore-comments


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (noted(f"ignore[{CHECK}] r"), []),
        (noted(f"ignore[{CHECK}]"), [f"ignores {CHECK} without a reason"]),
        (noted(f"ingore[{CHECK}] r"), ["dynocheck comment not understood"]),
        (noted("ignore[parallelism.gpu] r"), ["parallelism.gpu matches no check"]),
        (noted(f"ignore[{CHECK}] r", GOOD), [f"{CHECK} matches no finding here"]),
        (noted(f"ignore[{CHECK}, graph.frontend] r"), ["graph.frontend matches no finding here"]),
        (f"# dynocheck: ignore-file[{CHECK}] r\n{GOOD}", [f"{CHECK} matches no finding in this file"]),
        (noted("ignore[gpu.allocatable] r", GOOD), []),  # judged where there is a cluster
        (GOOD, []),
    ],
)
def test_a_comment_is_valid_and_used(tmp_path: Path, text: str, messages: list[str]) -> None:
    assert said(judge(tmp_path, text)) == messages


def test_a_comment_for_a_check_that_did_not_run_is_not_unused(tmp_path: Path) -> None:
    text = noted(f"ignore[{CHECK}] r", GOOD)
    judge(tmp_path, text)
    ended = run_inside("recipe", tmp_path, "-o", "json", "--select", "graph", "--select", COMMENTS)
    assert ended.findings(COMMENTS) == []
    alone = run_inside("recipe", tmp_path / "vllm" / "deploy.yaml", "-o", "json")
    assert alone.findings(COMMENTS) == [], "the rest of its folder is not judged"


def test_comments_in_markdown(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("one <!-- dynocheck: ignore[no.such] r -->\n")
    ended = judge(tmp_path, GOOD)
    (finding,) = ended.findings(COMMENTS)
    assert finding["message"] == "no.such matches no check"
    assert finding["location"] == {"file": str(tmp_path / "README.md"), "line": 1, "column": 5}
