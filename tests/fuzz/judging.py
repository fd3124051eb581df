"""Judges in this process, as `dynocheck recipe` does, so that thousands of files take minutes."""

import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from dynocheck.cli import main
from dynocheck.reports import FORMATS

LIMIT_S = 5


class TooLong(BaseException):
    """Judging took more than its limit of this process' own time, whatever else the machine did."""


class JudgedRun(NamedTuple):
    """How a run ended: its exit code, the report it wrote, where there is one, and its standard error."""

    code: int
    report: dict[str, Any] | None
    err: str

    @property
    def crashes(self) -> list[str]:
        """What went wrong in dynocheck itself, which is nothing if all is well."""
        verdicts = self.report["verdicts"] if self.report else []
        found = [f"{v['check']}: {v['message']}" for v in verdicts if v["outcome"] == "error"]
        if self.code not in range(4) or (self.report is None) != (self.code == 2):
            found.append(f"exit code {self.code}: {self.err}")
        return found + [f"standard error: {self.err}" for _ in range("Traceback" in self.err)]


def judge_path(
    path: Path, folder: Path, other: str = "table", select: str = "*", limit_s: float = LIMIT_S
) -> JudgedRun:
    """Judge a path by the checks selected; report it as JSON and in another format, in files of this folder.

    :param select: ids or patterns of checks, with blanks between them; none for what a run tells unasked.
    :raises TooLong: it did not end in time.
    """
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    outputs = [f"-ojson={report}", f"-o{other}={folder / 'report'}"]
    said, complained = io.StringIO(), io.StringIO()
    with _limit_time(limit_s), redirect_stdout(said), redirect_stderr(complained):
        code = main(["recipe", *outputs, *(f"--select={each}" for each in select.split()), "--", str(path)])
    found = json.loads(report.read_bytes()) if report.exists() else None
    return JudgedRun(code, found, complained.getvalue())


def pick_format(i: int) -> str:
    """A format of reports, each in its turn."""
    formats = [name for name in FORMATS if name != "json"]
    return formats[i % len(formats)]


@contextmanager
def _limit_time(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
