"""Runs dynocheck as its users do."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dynocheck.cli import main
from tests import forks

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"


@dataclass(frozen=True)
class CommandResult:
    """How a command ended; `report` is what it printed as JSON."""

    code: int
    out: str
    err: str

    @cached_property
    def report(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.out)
        return read

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of each check."""
        return {verdict["check"]: verdict["outcome"] for verdict in self.report["verdicts"]}

    def findings(self, check: str) -> list[dict[str, Any]]:
        (verdict,) = [v for v in self.report["verdicts"] if v["check"] == check]
        found: list[dict[str, Any]] = verdict["findings"]
        return found

    def finding(self, check: str) -> dict[str, Any]:
        """The only finding of a check."""
        (found,) = self.findings(check)
        return found

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The tables by their ids."""
        return {table["id"]: table for table in self.report["tables"]}

    def row(self, table: str) -> dict[str, Any]:
        """The first row of a table, by its columns."""
        return dict(zip(self.tables[table]["columns"], self.tables[table]["rows"][0], strict=True))


def restore_sigint() -> None:
    """Heed Ctrl-C, to which the children of a shell's background jobs are born deaf."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_inside(*arguments: str | Path, cwd: Path | None = None) -> CommandResult:
    """Run a command line in this process: quick, for what needs no process of its own."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd or ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return CommandResult(code, out.getvalue(), err.getvalue())


def usage_error(*arguments: str | Path, cwd: Path | None = None) -> str:
    """The one line that a command line which cannot be used ends with."""
    ended = run_inside(*arguments, cwd=cwd)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert ended.err.startswith("error: ")
    return ended.err


@contextmanager
def start(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A command line that runs on, until `interrupt` or the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "dynocheck", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=restore_sigint,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str], by: signal.Signals = signal.SIGINT) -> CommandResult:
    """What is left of a command that is interrupted, which is no crash."""
    assert process.poll() is None
    process.send_signal(by)
    out, err = process.communicate(timeout=30)
    expected = 143 if by is signal.SIGTERM else 130
    assert (process.returncode, "Traceback" in err) == (expected, False)
    return CommandResult(process.returncode, out, err)


def until(holds: Callable[[], bool], limit_s: float = 30) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def dynocheck(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> CommandResult:
    """Run a command line, in the repository unless told otherwise, and wait for its end.

    :param fresh: in a Python that starts for it, not in a fork of one that has imported dynocheck.
    """
    given = {"COLUMNS": "80", "PYTHONPATH": str(ROOT), **(env or {})}
    run = _run_fresh if fresh or not forks.can_run(given) else forks.run
    done = run([*map(str, arguments)], cwd or ROOT, {**os.environ, **given})
    return CommandResult(done.returncode, done.stdout, done.stderr)


def _run_fresh(
    arguments: list[str], folder: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dynocheck", *arguments],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=forks.LIMIT_S,
        check=False,
    )
