"""`dynocheck load`, as its users run it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import CommandResult, dynocheck, interrupt, start, until, usage_error
from tests.loadtest.engine import FakeEngine, engine
from tests.reports.schemas import valid_page

KEY = "sesame-open-the-door-0123"
SMALL = ["--osl", "4", "--isl", "20", "--requests", "12", "--warmup", "2"]
VERDICTS = {"load.errors", "load.client", "load.limits"}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeEngine]:
    with engine() as running:
        yield running


def load(url: str | None, *arguments: str | Path, env: dict[str, str] | None = None) -> CommandResult:
    where = ["--url", url] if url else []
    return dynocheck("load", *where, *SMALL, *arguments, env=env)


def test_a_run_is_judged_saved_and_read_again(server: FakeEngine, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    first = load(server.url, "-o", "json", "--save", file, "--limit", "error_rate=0")
    assert set(first.outcomes) == VERDICTS
    assert first.outcomes["load.errors"] == "pass"
    assert first.code == (3 if "unknown" in first.outcomes.values() else 0)
    assert first.row("load.requests").items() >= {"sent": 12, "ok": 12, "failed": 0}.items()
    assert first.report["target"]["model"] == "m"

    again = dynocheck("load", "--from", file, "-o", "json", "--limit", "error_rate=0")
    assert again.outcomes == first.outcomes
    assert again.report["tables"] == first.report["tables"]
    page, comment = tmp_path / "load.html", tmp_path / "load.md"
    drawn = dynocheck("load", "--from", file, "-o", f"html={page}", "-o", f"markdown={comment}", "-o", "json")
    assert {chart["id"] for chart in drawn.report["charts"]} <= {"load.spread", "load.timeline"}
    for chart in drawn.report["charts"]:
        assert chart["title"] in [heading.text for heading in valid_page(page.read_text()).iter("h2")]
        assert f"<summary>{chart['title']}</summary>" in comment.read_text()
    other = dynocheck("load", "--from", file, "-o", "json", "--limit", "requests_per_s=100000")
    assert other.outcomes["load.limits"] in ("fail", "unknown")

    beside = load(server.url, "-o", "json", "--baseline", file)
    assert beside.outcomes["load.baseline"] in ("pass", "fail", "unknown")
    assert "load.comparison" in beside.tables


def test_failed_requests_come_first_and_fail_the_run() -> None:
    with engine(fail=(4, 5)) as broken:
        ended = load(broken.url)
    assert ended.code == 1
    assert "2 of 12 requests failed" in ended.out
    assert ended.out.index("Requests") < ended.out.index("Latencies")


def test_nobody_there() -> None:
    ended = load("http://127.0.0.1:9", "--model", "m", "-o", "json")
    assert (ended.code, ended.outcomes["load.errors"]) == (1, "fail")
    assert ended.finding("load.errors")["evidence"]["class"] == "connect"
    unnamed = load("http://127.0.0.1:9", "-o", "json")
    assert (unnamed.code, unnamed.outcomes["load.errors"]) == (3, "unknown")


def test_a_key_is_used_and_never_told(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    saved = tmp_path / "run.json"
    with engine(key=KEY) as server:
        by_file = load(server.url, "--model", "m", "--api-key-file", file, "--save", saved, "-o", "json")
        assert by_file.outcomes["load.errors"] == "pass"
        by_name = load(server.url, "--model", "m", "--api-key-env", "A_KEY", env={"A_KEY": f"{KEY}x"})
        assert by_name.code == 1
        assert "HTTP 401" in by_name.out
    for said in (by_file.out, by_file.err, by_name.out, by_name.err, saved.read_text()):
        assert KEY not in said


def test_wrong_usage(tmp_path: Path, server: FakeEngine) -> None:
    missing = tmp_path / "none"
    (tmp_path / "empty.json").write_text("{}")
    made = {"tool": {"name": "dynocheck", "version": "0"}, "taken": "2026-01-01T00:00:00Z"}
    snapshot = {"schema": "dynocheck.snapshot/v1", **made, "target": {}, "facts": {}, "missing": {}}
    (tmp_path / "other.json").write_text(json.dumps(snapshot))
    url = ("--url", "http://h")
    wrong: list[list[str | Path]] = [
        ["--concurrency", "2"],
        ["--url", "localhost:8000"],
        ["--url", f"http://me:{KEY}@host"],
        [*url, "--rate", "2", "--concurrency", "2"],
        [*url, "--requests", "3", "--duration", "2"],
        [*url, "--sweep", "1,x"],
        [*url, "--sweep", "0"],
        [*url, "--workers", "5"],
        [*url, "--concurrency", "0"],
        [*url, "--limit", "itl.p50=1ms"],
        [*url, "--api-key-file", missing],
        [*url, "--api-key-env", "NO_SUCH_NAME"],
        ["--url", "https://h", "--ca-file", missing],
        [*url, "--baseline", missing],
        [*url, "--baseline", tmp_path / "empty.json"],
        [*url, "--save", missing / "run.json"],
        ["--url", server.url, "--prompts", missing],
        ["--url", server.url, "--prompts", missing, "--workers", "2"],
        ["--from", missing],
        ["--from", tmp_path / "other.json"],
        [*url, "-o", "pdf"],
        [*url, "--select", "gpu.nodes"],
    ]
    for arguments in wrong:
        assert KEY not in usage_error("load", *arguments)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_reports_and_saves_what_was_measured(server: FakeEngine, tmp_path: Path, workers: str) -> None:
    saved = tmp_path / "run.json"
    words = ("--duration", "60", "--osl", "4", "--save", saved, "-o", "json", "--workers", workers)
    before = len(server.log()["requests"])
    with start("load", "--url", server.url, *words) as running:
        until(lambda: len(server.log()["requests"]) >= before + 20)  # well past the warm-up
        ended = interrupt(running)
    assert "interrupted" in ended.err
    row = ended.row("load.requests")
    assert row["ok"] > 0
    assert row["failed"] == 0
    held = json.loads(saved.read_text())["facts"]["LoadRun"]
    assert held["interrupted"] is True
    assert len(held["points"][0]["samples"]) == row["ok"]


def test_ctrl_c_before_anything_was_measured(tmp_path: Path) -> None:
    with engine(first_s=30.0) as silent, start("load", "--url", silent.url, "-o", "json") as running:
        until(lambda: bool(silent.log()["requests"]))
        assert set(interrupt(running).outcomes.values()) <= {"unknown", "skip"}
