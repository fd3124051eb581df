"""Runs dynocheck as its users do."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dynocheck.cli import main

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


def restore_sigint() -> None:
    """Heed Ctrl-C, to which the children of a shell's background jobs are born deaf."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_inside(*arguments: str | Path, cwd: Path | None = None) -> CommandResult:
    """Run a command line in this process: quick, for what needs no process of its own."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd or ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return CommandResult(code, out.getvalue(), err.getvalue())


def dynocheck(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> CommandResult:
    """Run a command line, in the repository unless told otherwise, and wait for its end."""
    done = subprocess.run(
        [sys.executable, "-m", "dynocheck", *map(str, arguments)],
        cwd=cwd or ROOT,
        env={**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return CommandResult(done.returncode, done.stdout, done.stderr)
