"""Text for a terminal or the log of a CI job."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click
from rich.cells import cell_len, set_cell_size

from dynocheck.core.outcomes import (
    Chart,
    Finding,
    Outcome,
    Report,
    Table,
    Verdict,
    compute_exit_code,
    describe_suppressed,
)
from dynocheck.reports._sparkline import draw_lines
from dynocheck.reports._text import (
    MARKS,
    decide_outcome,
    describe_result,
    flatten,
    format_finding,
    format_place,
    group_by_area,
    sanitize,
    shorten,
)
from dynocheck.reports._unknown_reasons import UnknownReason, count_shared, find_reason
from dynocheck.reports._wrapping import lay_out
from dynocheck.reports.options import ReportOptions

_ASCII_MARKS = MARKS | {Outcome.PASS: "+", Outcome.FAIL: "x"}

_STYLES: dict[Outcome, dict[str, Any]] = {
    Outcome.PASS: {"fg": "green"},
    Outcome.WARN: {"fg": "yellow", "bold": True},
    Outcome.FAIL: {"fg": "red", "bold": True},
    Outcome.UNKNOWN: {"fg": "magenta", "bold": True},
    Outcome.UNJUDGED: {"fg": "magenta"},
    Outcome.SKIP: {"dim": True},
    Outcome.ERROR: {"fg": "magenta", "bold": True},
}

_INDENT = 8
_NARROWEST = 40
_NARROWEST_COLUMN = 28
_NARROW_INDENT = 4
_TABLE_INDENT = 2


def render(report: Report, options: ReportOptions) -> str:
    """The report by area, one line per check, with findings and fixes below."""
    return "".join(f"{line.rstrip()}\n" for line in _TextReport(report, options).render_lines())


class _TextReport:
    def __init__(self, report: Report, options: ReportOptions) -> None:
        self.report = report
        self.options = options
        self.width = max(options.width or 80, _NARROWEST)
        self.marks = MARKS if self._sanitize("✔✘") == "✔✘" else _ASCII_MARKS
        self.word_width = max((len(verdict.outcome) for verdict in report.verdicts), default=0)
        ids = (cell_len(self._sanitize(verdict.check)) for verdict in report.verdicts)
        self.id_width = min(max(ids, default=0), self.width * 2 // 5)
        self.shared = count_shared(report)

    def render_lines(self) -> Iterator[str]:
        for area, verdicts in group_by_area(self.report).items():
            yield self._paint(self._sanitize(area), bold=True)
            for verdict in verdicts:
                yield from self._render_verdict(verdict)
            yield ""
        for reason, count in self.shared.items():
            yield from self._render_reason(reason, count)
            yield ""
        for table in self.report.tables:
            yield from self._render_table(table)
            yield ""
        for chart in self.report.charts:
            if lines := list(draw_lines(chart, self.width - _TABLE_INDENT, self._sanitize)):
                yield from self._render_chart(chart, lines)
                yield ""
        yield from self._render_summary()

    def _render_table(self, table: Table) -> Iterator[str]:
        yield self._paint(self._sanitize(table.title), bold=True)
        for line in lay_out(table, self.width - _TABLE_INDENT, self._sanitize):
            yield " " * _TABLE_INDENT + line
        if table.note:
            yield from self._render_paragraph(table.note, " " * _TABLE_INDENT)

    def _render_chart(self, chart: Chart, lines: list[str]) -> Iterator[str]:
        yield self._paint(self._sanitize(chart.title), bold=True)
        for line in lines:
            yield " " * _TABLE_INDENT + line
        if chart.note:
            yield from self._render_paragraph(chart.note, " " * _TABLE_INDENT)

    def _render_verdict(self, verdict: Verdict) -> Iterator[str]:
        reason = find_reason(verdict)
        if reason in self.shared:
            footnote = self._format_footnote(reason)
            yield from self._render_headline(verdict, f"{verdict.title} {footnote}")
        elif verdict.outcome is Outcome.PASS:
            yield from self._render_headline(verdict, verdict.title)
        else:
            yield from self._render_headline(verdict, verdict.message)
            if verdict.outcome is not Outcome.SKIP:
                yield from self._render_findings(verdict)
        yield from self._render_suppressed(verdict)

    def _render_suppressed(self, verdict: Verdict) -> Iterator[str]:
        """The suppressed findings by reason, unless the headline shows them already."""
        if verdict.outcome is not Outcome.SKIP:
            for text in describe_suppressed(verdict.suppressed):
                yield from self._render_paragraph(text, " " * _INDENT)

    def _render_headline(self, verdict: Verdict, text: str) -> Iterator[str]:
        """Mark, outcome and id, with the text beside them, or below if there is no room."""
        check = self._sanitize(verdict.check)
        marked = f"{self.marks[verdict.outcome]} {verdict.outcome:<{self.word_width}}"
        start = f"  {self._paint(marked, **_STYLES[verdict.outcome])}  {check}"
        padding = " " * (self.id_width - cell_len(check))
        column = 2 + len(marked) + 2 + self.id_width + 2
        if self.width - column >= _NARROWEST_COLUMN and cell_len(check) <= self.id_width:
            lines = self._wrap(text, column)
            yield f"{start}{padding}  {self._dim_skipped(verdict, next(lines, ''))}"
        else:
            column = _NARROW_INDENT
            lines = self._wrap(text, column)
            yield start
        for line in lines:
            yield " " * column + self._dim_skipped(verdict, line)

    def _render_findings(self, verdict: Verdict) -> Iterator[str]:
        """The findings; a fix that several in a row share is shown once, after the last."""
        is_shown = len(verdict.findings) == 1 and verdict.findings[0].message == verdict.message
        for fix, findings in groupby(verdict.findings, key=lambda finding: finding.fix):
            for finding in findings:
                text = format_place(finding) if is_shown else format_finding(finding, verdict)
                yield from self._render_paragraph(text, " " * _INDENT)
                yield from self._render_evidence(finding)
            yield from self._render_fix(fix, " " * _INDENT)

    def _render_evidence(self, finding: Finding) -> Iterator[str]:
        """One line of evidence that the message, place and fix do not show."""
        shown = f"{finding.message} {format_place(finding)} {finding.fix}"
        seen = "; ".join(f"{name}={value}" for name, value in flatten(finding.evidence) if value not in shown)
        if seen:
            line = f"seen: {self._sanitize(seen)}"
            room = self.width - _INDENT
            if cell_len(line) > room:
                line = f"{set_cell_size(line, room - 3)}..."
            yield " " * _INDENT + self._paint(line, dim=True)

    def _render_fix(self, fix: str | None, indent: str) -> Iterator[str]:
        """A fix, never wrapped or shortened, so that it can be copied."""
        if fix:
            yield f"{indent}{self._paint('fix:', fg='cyan')} {sanitize(fix, self.options.encoding)}"

    def _format_footnote(self, reason: UnknownReason | None) -> str:
        return f"[{list(self.shared).index(reason) + 1}] " if reason and len(self.shared) > 1 else ""

    def _render_reason(self, reason: UnknownReason, count: int) -> Iterator[str]:
        yield from self._render_marked(
            reason.outcome, f"{self._format_footnote(reason)}{count} checks {reason.what}: {reason.text}"
        )
        for fix in reason.fixes:
            yield from self._render_fix(fix, "  ")

    def _render_summary(self) -> Iterator[str]:
        report, strict = self.report, self.options.strict
        target = "; ".join(f"{name} {value}" for name, value in flatten(report.target))
        yield from self._render_paragraph(f"{report.command}: {target}" if target else report.command, "")
        code = compute_exit_code(report, strict=strict)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in report.summary.items() if count)
        suppressed = sum(len(verdict.suppressed) for verdict in report.verdicts)
        counts += f"; {suppressed} finding{'s' if suppressed > 1 else ''} suppressed" if suppressed else ""
        text = f"{describe_result(report, strict=strict)} (exit {code}): {counts or 'no checks'}"
        yield from self._render_marked(
            decide_outcome(report, strict=strict), f"{text} in {report.duration_s:.1f} s"
        )

    def _render_marked(self, outcome: Outcome, text: str) -> Iterator[str]:
        """A paragraph whose text up to the colon has the style of the outcome."""
        first, *rest = self._render_paragraph(f"{self.marks[outcome]} {text}", "")
        lead, colon, tail = first.partition(":")
        yield self._paint(lead + colon, **_STYLES[outcome]) + tail
        yield from rest

    def _render_paragraph(self, text: str, indent: str) -> Iterator[str]:
        for number, line in enumerate(self._wrap(text, len(indent), hang=2)):
            yield f"{indent}{'  ' if number else ''}{line}"

    def _dim_skipped(self, verdict: Verdict, text: str) -> str:
        return self._paint(text, dim=True) if verdict.outcome is Outcome.SKIP else text

    def _paint(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self.options.color and text else text

    def _sanitize(self, text: str) -> str:
        """Sanitized and shortened."""
        return sanitize(shorten(text), self.options.encoding)

    def _wrap(self, text: str, column: int, hang: int = 0) -> Iterator[str]:
        """Lines of whole words; the first starts at this column, the others are indented by `hang` more.

        A word that does not fit, such as a path or image, is not broken, so that it can be copied.
        """
        line, used = "", column
        for word in self._sanitize(text).split():
            size = cell_len(word)
            if line and used + 1 + size > self.width:
                yield line
                line, used = "", column + hang
            line, used = (f"{line} {word}", used + 1 + size) if line else (word, used + size)
        if line:
            yield line
