import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dynocheck.reports import FORMATS, ReportOptions, render_report, write
from tests.reports.samples import FAIL, PASS, every_outcome, lone, report, verdict


class Output(io.TextIOWrapper):
    """A standard output that may be a terminal."""

    def __init__(self, encoding: str = "utf-8", *, tty: bool = False) -> None:
        self.raw_bytes = io.BytesIO()
        self.tty = tty
        super().__init__(self.raw_bytes, encoding=encoding)

    def isatty(self) -> bool:
        return self.tty

    def written(self) -> bytes:
        self.flush()
        return self.raw_bytes.getvalue()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def printed(monkeypatch: pytest.MonkeyPatch, output: Output, format: str = "table") -> bytes:  # noqa: A002
    monkeypatch.setattr(sys, "stdout", output)
    write(every_outcome(), format)
    return output.written()


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"\x1b[32m" in printed(monkeypatch, Output(tty=True))


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_none_gets_no_escape_code(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert b"\x1b" not in printed(monkeypatch, Output(tty=True))


def test_a_pipe_gets_80_columns_no_colour_and_no_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, Output()).decode()
    assert text == render_report(every_outcome(), "table", ReportOptions(width=80))
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_a_pipe_gets_colour_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert b"\x1b[32m" in printed(monkeypatch, Output())


def test_columns_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert printed(monkeypatch, Output()).decode() == render_report(
        every_outcome(), "table", ReportOptions(width=120)
    )


def test_an_ascii_output_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"\n+ 1 passed: storage 1\n" in printed(monkeypatch, Output("ascii"))


@pytest.mark.parametrize("format", ["json", "junit"])
def test_programs_get_utf_8_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch, format: str) -> None:  # noqa: A002
    monkeypatch.setenv("FORCE_COLOR", "1")
    expected = render_report(every_outcome(), format).encode()
    assert printed(monkeypatch, Output("ascii", tty=True), format) == expected


@pytest.mark.parametrize("format", FORMATS)
def test_a_stand_in_for_standard_output_will_do(monkeypatch: pytest.MonkeyPatch, format: str) -> None:  # noqa: A002
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    write(every_outcome(), format)
    assert output.getvalue() == render_report(every_outcome(), format)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_gets_plain_utf_8(tmp_path: Path, format: str) -> None:  # noqa: A002
    shown = report(verdict(PASS, "a.a", "Grüße"), lone(FAIL, "a.b", "名"))
    write(shown, format, tmp_path / "report")
    written = (tmp_path / "report").read_bytes()
    assert written == render_report(shown, format).encode()
    assert "名".encode() in written
    assert b"\x1b" not in written
    assert written.endswith(b"\n")


def test_a_file_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(every_outcome(), "json", tmp_path / "missing" / "report.json")


def test_what_a_format_needs_is_imported_when_it_is_made() -> None:
    script = """
import sys, json, dynocheck.reports, dynocheck.reports.progress
before = {"rich", "junitparser", "lxml"} & set(sys.modules)
dynocheck.reports.render_report
print(json.dumps(sorted(before)))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []


def test_the_c_locale_can_print_every_report() -> None:
    script = """
from dynocheck.reports import write
from tests.reports.samples import every_outcome
write(every_outcome(), "table")
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert ran.stdout.decode("ascii").startswith("x not fit (exit 1): ")
