"""`dynocheck load`, as its users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynocheck.cli import main
from tests.command import ROOT, CommandResult, dynocheck, restore_sigint
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
    tables = {table["id"]: table for table in first.report["tables"]}
    requests = dict(zip(tables["load.requests"]["columns"], tables["load.requests"]["rows"][0], strict=True))
    assert (requests["sent"], requests["ok"], requests["failed"]) == (12, 12, 0)
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
    assert [table for table in beside.report["tables"] if table["id"] == "load.comparison"]


def test_failed_requests_come_first_and_fail_the_run() -> None:
    with engine(fail=(4, 5)) as broken:
        ended = load(broken.url)
    assert ended.code == 1
    assert "2 of 12 requests failed" in ended.out
    assert ended.out.index("Requests") < ended.out.index("Latencies")


def test_nobody_there() -> None:
    ended = load("http://127.0.0.1:9", "--model", "m", "-o", "json")
    assert ended.code == 1
    assert ended.outcomes["load.errors"] == "fail"
    (finding,) = ended.findings("load.errors")
    assert finding["evidence"]["class"] == "connect"
    unnamed = load("http://127.0.0.1:9", "-o", "json")
    assert unnamed.code == 3
    assert unnamed.outcomes["load.errors"] == "unknown"


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


def test_wrong_usage(tmp_path: Path, server: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none"
    (tmp_path / "empty.json").write_text("{}")
    snapshot = {
        "schema": "dynocheck.snapshot/v1",
        "tool": {"name": "dynocheck", "version": "0"},
        "taken": "2026-01-01T00:00:00Z",
        "target": {},
        "facts": {},
        "missing": {},
    }
    (tmp_path / "other.json").write_text(json.dumps(snapshot))
    wrong: list[list[str | Path]] = [
        ["--concurrency", "2"],
        ["--url", "localhost:8000"],
        ["--url", f"http://me:{KEY}@host"],
        ["--url", "http://h", "--rate", "2", "--concurrency", "2"],
        ["--url", "http://h", "--requests", "3", "--duration", "2"],
        ["--url", "http://h", "--sweep", "1,x"],
        ["--url", "http://h", "--sweep", "0"],
        ["--url", "http://h", "--workers", "5"],
        ["--url", "http://h", "--concurrency", "0"],
        ["--url", "http://h", "--limit", "itl.p50=1ms"],
        ["--url", "http://h", "--api-key-file", missing],
        ["--url", "http://h", "--api-key-env", "NO_SUCH_NAME"],
        ["--url", "https://h", "--ca-file", missing],
        ["--url", "http://h", "--baseline", missing],
        ["--url", "http://h", "--baseline", tmp_path / "empty.json"],
        ["--url", "http://h", "--save", missing / "run.json"],
        ["--url", server.url, "--prompts", missing],
        ["--url", server.url, "--prompts", missing, "--workers", "2"],
        ["--from", missing],
        ["--from", tmp_path / "other.json"],
        ["--url", "http://h", "-o", "pdf"],
        ["--url", "http://h", "--select", "gpu.nodes"],
    ]
    for arguments in wrong:
        assert main(["load", *map(str, arguments)]) == 2, arguments
        said = capsys.readouterr()
        assert said.err.startswith("error: ")
        assert KEY not in said.err
        assert said.out == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_reports_and_saves_what_was_measured(server: FakeEngine, tmp_path: Path, workers: str) -> None:
    saved = tmp_path / "run.json"
    command = [sys.executable, "-m", "dynocheck", "load", "--url", server.url, "--duration", "60"]
    command += ["--osl", "4", "--save", str(saved), "-o", "json", "--workers", workers]
    before = len(server.log()["requests"])
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=restore_sigint,
    ) as process:
        deadline = time.monotonic() + 30
        while len(server.log()["requests"]) < before + 20:  # well past the warm-up
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    report = json.loads(out)
    (table,) = [table for table in report["tables"] if table["id"] == "load.requests"]
    row = dict(zip(table["columns"], table["rows"][0], strict=True))
    assert row["ok"] > 0
    assert row["failed"] == 0
    held = json.loads(saved.read_text())["facts"]["LoadRun"]
    assert held["interrupted"] is True
    assert len(held["points"][0]["samples"]) == row["ok"]


def test_ctrl_c_before_anything_was_measured(tmp_path: Path) -> None:
    with engine(first_s=30.0) as silent:
        command = [sys.executable, "-m", "dynocheck", "load", "--url", silent.url, "-o", "json"]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restore_sigint,
        ) as process:
            deadline = time.monotonic() + 30
            while not silent.log()["requests"]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert {verdict["outcome"] for verdict in json.loads(out)["verdicts"]} <= {"unknown", "skip"}
