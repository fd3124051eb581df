"""What people read in a terminal or in the log of a CI job."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click
from rich.cells import cell_len, set_cell_size

from dynocheck.core.outcomes import Chart, Finding, Outcome, Report, Table, Verdict, counted, exit_code
from dynocheck.reports._sparkline import drawn
from dynocheck.reports._text import (
    MARKS,
    by_area,
    decided,
    meaning,
    pairs,
    shortened,
    statement,
    visible,
    where,
)
from dynocheck.reports._unknown_reasons import Reason, reason_of, shared
from dynocheck.reports._wrapping import laid_out
from dynocheck.reports.options import Options

_ASCII_MARKS = MARKS | {Outcome.PASS: "+", Outcome.FAIL: "x"}

_STYLES: dict[Outcome, dict[str, Any]] = {
    Outcome.PASS: {"fg": "green"},
    Outcome.WARN: {"fg": "yellow", "bold": True},
    Outcome.FAIL: {"fg": "red", "bold": True},
    Outcome.UNKNOWN: {"fg": "magenta", "bold": True},
    Outcome.SKIP: {"dim": True},
    Outcome.ERROR: {"fg": "magenta", "bold": True},
}

_INDENT = 8
_NARROWEST = 40
_NARROWEST_COLUMN = 28
_NARROW_INDENT = 4
_TABLE_INDENT = 2


def text(report: Report, options: Options) -> str:
    """The report by area, a line a check, with what to do under all that does not hold."""
    return "".join(f"{line.rstrip()}\n" for line in _Table(report, options).lines())


class _Table:
    def __init__(self, report: Report, options: Options) -> None:
        self.report = report
        self.options = options
        self.width = max(options.width or 80, _NARROWEST)
        self.marks = MARKS if self._show("✔✘") == "✔✘" else _ASCII_MARKS
        self.word_width = max((len(verdict.outcome) for verdict in report.verdicts), default=0)
        ids = (cell_len(self._show(verdict.check)) for verdict in report.verdicts)
        self.id_width = min(max(ids, default=0), self.width * 2 // 5)
        self.shared = shared(report)

    def lines(self) -> Iterator[str]:
        for area, verdicts in by_area(self.report).items():
            yield self._paint(self._show(area), bold=True)
            for verdict in verdicts:
                yield from self._verdict(verdict)
            yield ""
        for reason, count in self.shared.items():
            yield from self._shared_reason(reason, count)
            yield ""
        for table in self.report.tables:
            yield from self._laid_out(table)
            yield ""
        for chart in self.report.charts:
            if lines := list(drawn(chart, self.width - _TABLE_INDENT, self._show)):
                yield from self._drawn(chart, lines)
                yield ""
        yield from self._summary()

    def _laid_out(self, table: Table) -> Iterator[str]:
        yield self._paint(self._show(table.title), bold=True)
        for line in laid_out(table, self.width - _TABLE_INDENT, self._show):
            yield " " * _TABLE_INDENT + line
        if table.note:
            yield from self._paragraph(table.note, " " * _TABLE_INDENT)

    def _drawn(self, chart: Chart, lines: list[str]) -> Iterator[str]:
        yield self._paint(self._show(chart.title), bold=True)
        for line in lines:
            yield " " * _TABLE_INDENT + line
        if chart.note:
            yield from self._paragraph(chart.note, " " * _TABLE_INDENT)

    def _verdict(self, verdict: Verdict) -> Iterator[str]:
        reason = reason_of(verdict)
        if reason in self.shared:
            footnote = self._footnote(reason)
            yield from self._headline(verdict, f"{verdict.title} {footnote}")
        elif verdict.outcome is Outcome.PASS:
            yield from self._headline(verdict, verdict.title)
        else:
            yield from self._headline(verdict, verdict.message)
            if verdict.outcome is not Outcome.SKIP:
                yield from self._findings(verdict)
        yield from self._aside(verdict)

    def _aside(self, verdict: Verdict) -> Iterator[str]:
        """What it found that does not count, unless the headline says that already."""
        if verdict.outcome is not Outcome.SKIP:
            for said in counted(verdict.suppressed):
                yield from self._paragraph(said, " " * _INDENT)

    def _headline(self, verdict: Verdict, said: str) -> Iterator[str]:
        """Mark, outcome and id, with what is said beside them; below them where there is no room."""
        check = self._show(verdict.check)
        marked = f"{self.marks[verdict.outcome]} {verdict.outcome:<{self.word_width}}"
        start = f"  {self._paint(marked, **_STYLES[verdict.outcome])}  {check}"
        padding = " " * (self.id_width - cell_len(check))
        column = 2 + len(marked) + 2 + self.id_width + 2
        if self.width - column >= _NARROWEST_COLUMN and cell_len(check) <= self.id_width:
            lines = self._wrapped(said, column)
            yield f"{start}{padding}  {self._toned(verdict, next(lines, ''))}"
        else:
            column = _NARROW_INDENT
            lines = self._wrapped(said, column)
            yield start
        for line in lines:
            yield " " * column + self._toned(verdict, line)

    def _findings(self, verdict: Verdict) -> Iterator[str]:
        """Each finding; a fix that several in a row share is said once, after the last of them."""
        said_above = len(verdict.findings) == 1 and verdict.findings[0].message == verdict.message
        for fix, findings in groupby(verdict.findings, key=lambda finding: finding.fix):
            for finding in findings:
                said = where(finding) if said_above else statement(finding, verdict)
                yield from self._paragraph(said, " " * _INDENT)
                yield from self._evidence(finding)
            yield from self._fix(fix, " " * _INDENT)

    def _evidence(self, finding: Finding) -> Iterator[str]:
        """One line of what was seen and is not said already."""
        told = f"{finding.message} {where(finding)} {finding.fix}"
        seen = "; ".join(f"{name}={value}" for name, value in pairs(finding.evidence) if value not in told)
        if seen:
            line = f"seen: {self._show(seen)}"
            room = self.width - _INDENT
            if cell_len(line) > room:
                line = f"{set_cell_size(line, room - 3)}..."
            yield " " * _INDENT + self._paint(line, dim=True)

    def _fix(self, fix: str | None, indent: str) -> Iterator[str]:
        """Never wrapped and never cut: it is there to be copied."""
        if fix:
            yield f"{indent}{self._paint('fix:', fg='cyan')} {visible(fix, self.options.encoding)}"

    def _footnote(self, reason: Reason | None) -> str:
        return f"[{list(self.shared).index(reason) + 1}] " if reason and len(self.shared) > 1 else ""

    def _shared_reason(self, reason: Reason, count: int) -> Iterator[str]:
        yield from self._marked(
            reason.outcome, f"{self._footnote(reason)}{count} checks {reason.what}: {reason.said}"
        )
        for fix in reason.fixes:
            yield from self._fix(fix, "  ")

    def _summary(self) -> Iterator[str]:
        report, strict = self.report, self.options.strict
        target = "; ".join(f"{name} {value}" for name, value in pairs(report.target))
        yield from self._paragraph(f"{report.command}: {target}" if target else report.command, "")
        code = exit_code(report, strict=strict)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in report.summary.items() if count)
        aside = sum(len(verdict.suppressed) for verdict in report.verdicts)
        counts += f"; {aside} finding{'s' if aside > 1 else ''} put aside" if aside else ""
        said = f"{meaning(report, strict=strict)} (exit {code}): {counts or 'no checks'}"
        yield from self._marked(decided(report, strict=strict), f"{said} in {report.duration_s:.1f} s")

    def _marked(self, outcome: Outcome, said: str) -> Iterator[str]:
        """A paragraph that is not of one check, its lead in the outcome's style."""
        first, *rest = self._paragraph(f"{self.marks[outcome]} {said}", "")
        lead, colon, tail = first.partition(":")
        yield self._paint(lead + colon, **_STYLES[outcome]) + tail
        yield from rest

    def _paragraph(self, said: str, indent: str) -> Iterator[str]:
        for number, line in enumerate(self._wrapped(said, len(indent), hang=2)):
            yield f"{indent}{'  ' if number else ''}{line}"

    def _toned(self, verdict: Verdict, said: str) -> str:
        return self._paint(said, dim=True) if verdict.outcome is Outcome.SKIP else said

    def _paint(self, said: str, **style: Any) -> str:
        return click.style(said, **style) if self.options.color and said else said

    def _show(self, said: str) -> str:
        """Harmless, and cut where nobody reads on."""
        return visible(shortened(said), self.options.encoding)

    def _wrapped(self, said: str, column: int, hang: int = 0) -> Iterator[str]:
        """Lines of whole words, the first to begin at this column and the others to hang further in.

        A long path or image stays in one piece, to be found and copied.
        """
        line, used = "", column
        for word in self._show(said).split():
            size = cell_len(word)
            if line and used + 1 + size > self.width:
                yield line
                line, used = "", column + hang
            line, used = (f"{line} {word}", used + 1 + size) if line else (word, used + size)
        if line:
            yield line
