"""Text for a terminal or the log of a CI job: the verdict, the problems by cause, and then the rest."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import click
from msgspec.structs import replace
from rich.cells import cell_len, set_cell_size

from dynocheck.core.outcomes import (
    Chart,
    Finding,
    Outcome,
    Report,
    Table,
    Verdict,
    compute_exit_code,
    describe_silenced,
)
from dynocheck.reports._causes import (
    Cause,
    UnjudgedGroup,
    count_areas,
    describe_checks,
    describe_counts,
    group_causes,
    group_unjudged,
    list_coverage,
)
from dynocheck.reports._sparkline import draw_lines
from dynocheck.reports._text import (
    MARKS,
    decide_outcome,
    describe_result,
    describe_target,
    flatten,
    format_place,
    group_by_area,
    list_config_notes,
    sanitize,
    shorten,
)
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

_SCREEN = 24  # lines
_NARROWEST = 40
_NARROWEST_COLUMN = 28
_TEXT = 2  # where text begins, after a mark
_DETAIL = 4  # where places and fixes begin
_MOST_PLACES = 3
_MOST_ROWS = 50
_ROOM_FOR_COUNT = 6
_RETRIED = "retried"  # of the target
_MOST_CAUSES = {Outcome.FAIL: 20, Outcome.WARN: 10}


def render(report: Report, options: ReportOptions) -> str:
    """The verdict, what was judged, the problems by cause, and counts of the rest; then tables and charts.

    Verbose, it lists every place, and every check. What is longer than a screen ends in the verdict again.
    """
    return "".join(f"{line.rstrip()}\n" for line in _TextReport(report, options).render_lines())


class _TextReport:
    def __init__(self, report: Report, options: ReportOptions) -> None:
        self.report = report
        self.options = options
        self.verbose = options.detail == "verbose"
        self.width = max(options.width or 80, _NARROWEST)
        self.marks = MARKS if self._sanitize("✔✘") == "✔✘" else _ASCII_MARKS
        self.causes = group_causes(report)
        self.word_width = max((len(verdict.outcome) for verdict in report.verdicts), default=0)
        ids = (cell_len(self._sanitize(verdict.check)) for verdict in report.verdicts)
        self.id_width = min(max(ids, default=0), self.width * 2 // 5)

    def render_lines(self) -> Iterator[str]:
        verdict = list(self._render_result())
        yield from verdict
        if self.options.detail == "quiet":
            return
        sections = [list(self._render_scope()), *map(list, self._render_problems())]
        if self.verbose:
            sections += map(list, self._render_checks())
        sections += [list(self._render_rest()), *map(list, self._render_data())]
        body = [line for section in sections if section for line in (*section, "")][:-1]
        yield from body
        if len(verdict) + len(body) > (self.options.height or _SCREEN):
            yield ""
            yield from verdict

    def _render_result(self) -> Iterator[str]:
        """The verdict with the number of findings."""
        report, strict = self.report, self.options.strict
        text = f"{describe_result(report, strict=strict)} (exit {compute_exit_code(report, strict=strict)})"
        counts = describe_counts(report, self.causes)
        yield from self._render_marked(
            decide_outcome(report, strict=strict), f"{text}: {counts}; {report.duration_s:.1f}s"
        )

    def _render_scope(self) -> Iterator[str]:
        """What was looked at, and how much of it was judged."""
        shown = [pair for pair in describe_target(self.report) if self.verbose or pair[0] != _RETRIED]
        target = "; ".join(f"{name} {value}" for name, value in shown)
        yield from self._render_paragraph(
            f"{self.report.command}: {target}" if target else self.report.command, _TEXT
        )
        for note in list_config_notes(self.report):
            yield from self._render_paragraph(f"config: {note}", _TEXT, hang=2)
        if coverage := list_coverage(self.report):
            yield from self._render_paragraph(f"judged: {'; '.join(coverage)}", _TEXT)

    def _render_problems(self) -> Iterator[Iterator[str]]:
        for outcome, causes in groupby(self.causes, key=lambda cause: cause.outcome):
            yield self._render_causes(outcome, list(causes))
        yield (line for group in group_unjudged(self.report) for line in self._render_unjudged(group))

    def _render_causes(self, outcome: Outcome, causes: Sequence[Cause]) -> Iterator[str]:
        most = len(causes) if self.verbose else _MOST_CAUSES.get(outcome, len(causes))
        for cause in causes[:most]:
            yield from self._render_cause(cause)
        if left := causes[most:]:
            checks = ", ".join(dict.fromkeys(verdict.check for cause in left for verdict in cause.verdicts))
            yield from self._render_marked(outcome, f"{len(left)} more causes, which -v lists: {checks}")

    def _render_cause(self, cause: Cause) -> Iterator[str]:
        """What is wrong, where, what follows from it, and the fix; verbose, every place and every fix."""
        yield from self._render_marked(cause.outcome, f"{cause.headline} ({describe_checks(cause)})")
        most = 1 if cause.outcome is Outcome.WARN else _MOST_PLACES
        yield from self._render_details(cause, most)
        for effect in cause.effects:
            text = f"leads to: {effect.headline} ({describe_checks(effect)})"
            yield from self._render_paragraph(text, _DETAIL, hang=2)
            if self.verbose:
                yield from self._render_details(effect, most)
        if not self.verbose:
            yield from self._render_fix(cause.fix)

    def _render_details(self, cause: Cause, most: int) -> Iterator[str]:
        if not cause.is_placed:
            yield from self._render_places(cause.places, most)
        if self.verbose:
            yield from self._render_evidence(cause.first)
            for fix in dict.fromkeys(each.finding.fix for each in cause.occurrences):
                yield from self._render_fix(fix)

    def _render_places(self, places: Sequence[str], most: int) -> Iterator[str]:
        """The first three places on one line, or `most` of them on lines of their own; how many are left."""
        shown = [self._sanitize(place) for place in (places if self.verbose else places[:_MOST_PLACES])]
        line = "; ".join(shown)
        left = 0
        if not self.verbose:
            fits = cell_len(line) <= self.width - _DETAIL - _ROOM_FOR_COUNT
            shown, count = ([line], len(shown)) if line and fits else (shown[:most], most)
            left = len(places) - count
        lines = [line for place in shown for line in self._render_paragraph(place, _DETAIL, hang=2)]
        yield from lines[:-1]
        yield from (f"{line} +{left}" if left > 0 else line for line in lines[-1:])

    def _render_unjudged(self, group: UnjudgedGroup) -> Iterator[str]:
        yield from self._render_marked(Outcome.UNJUDGED, group.headline)
        yield from self._render_places(group.things, 1)
        if group.needs:
            yield from self._render_paragraph(f"needs: {group.needs}", _DETAIL, hang=2)

    def _render_rest(self) -> Iterator[str]:
        """Passed and skipped checks by area, and what is suppressed."""
        for outcome, text in ((Outcome.PASS, "passed"), (Outcome.SKIP, "skipped")):
            verdicts = [verdict for verdict in self.report.verdicts if verdict.outcome is outcome]
            if verdicts:
                counts = count_areas(verdicts)
                yield from self._render_marked(outcome, f"{len(verdicts)} {text}: {counts}")
        for line in describe_silenced(self.report):
            yield from self._render_marked(Outcome.SKIP, line)

    def _render_checks(self) -> Iterator[Iterator[str]]:
        """Every check by area, with what it says."""
        for area, verdicts in group_by_area(self.report).items():
            yield self._render_area(area, verdicts)

    def _render_area(self, area: str, verdicts: Iterable[Verdict]) -> Iterator[str]:
        yield self._paint(self._sanitize(area), bold=True)
        for verdict in verdicts:
            yield from self._render_verdict(verdict)

    def _render_verdict(self, verdict: Verdict) -> Iterator[str]:
        """Mark, outcome and id, with the text beside them, or below if there is no room."""
        text = verdict.title if verdict.outcome is Outcome.PASS else verdict.message
        check = self._sanitize(verdict.check)
        marked = f"{self.marks[verdict.outcome]} {verdict.outcome:<{self.word_width}}"
        start = f"  {self._paint(marked, **_STYLES[verdict.outcome])}  {check}"
        padding = " " * (self.id_width - cell_len(check))
        column = 2 + len(marked) + 2 + self.id_width + 2
        if self.width - column >= _NARROWEST_COLUMN and cell_len(check) <= self.id_width:
            lines = self._wrap(text, column)
            yield f"{start}{padding}  {self._dim_skipped(verdict, next(lines, ''))}"
        else:
            column = _DETAIL
            lines = self._wrap(text, column)
            yield start
        for line in lines:
            yield " " * column + self._dim_skipped(verdict, line)

    def _render_data(self) -> Iterator[Iterator[str]]:
        for table in self.report.tables:
            yield self._render_table(table)
        for chart in self.report.charts:
            if lines := list(draw_lines(chart, self.width - _TEXT, self._sanitize)):
                yield self._render_titled(chart, lines)

    def _render_table(self, table: Table) -> Iterator[str]:
        most = len(table.rows) if self.verbose else _MOST_ROWS
        shown = replace(table, rows=table.rows[:most])
        yield from self._render_titled(shown, self._lay_out(shown, len(table.rows) - most))

    def _lay_out(self, table: Table, left: int) -> Iterator[str]:
        yield from lay_out(table, self.width - _TEXT, self._sanitize)
        if left > 0:
            yield f"{left} more rows, which -v lists"

    def _render_titled(self, shown: Table | Chart, lines: Iterable[str]) -> Iterator[str]:
        yield self._paint(self._sanitize(shown.title), bold=True)
        for line in lines:
            yield " " * _TEXT + line
        if shown.note:
            yield from self._render_paragraph(shown.note, _TEXT)

    def _render_evidence(self, finding: Finding) -> Iterator[str]:
        """One line of evidence that the message, place and fix do not show."""
        shown = f"{finding.message} {format_place(finding)} {finding.fix}"
        seen = "; ".join(f"{name}={value}" for name, value in flatten(finding.evidence) if value not in shown)
        if seen:
            line = f"seen: {self._sanitize(seen)}"
            room = self.width - _DETAIL
            if cell_len(line) > room:
                line = f"{set_cell_size(line, room - 3)}..."
            yield " " * _DETAIL + self._paint(line, dim=True)

    def _render_fix(self, fix: str | None) -> Iterator[str]:
        """A fix, never wrapped or shortened, so that it can be copied."""
        if fix:
            text = sanitize(fix, self.options.encoding)
            yield f"{' ' * _DETAIL}{self._paint('fix:', fg='cyan')} {text}"

    def _render_marked(self, outcome: Outcome, text: str) -> Iterator[str]:
        """A paragraph with the mark of the outcome, aligned to the text after it."""
        lines = self._wrap(text, _TEXT)
        yield f"{self._paint(self.marks[outcome], **_STYLES[outcome])} {next(lines, '')}"
        yield from (" " * _TEXT + line for line in lines)

    def _render_paragraph(self, text: str, column: int, hang: int = 0) -> Iterator[str]:
        """Lines of whole words at this column; those after the first are indented by `hang` more."""
        lines = self._wrap(text, column, hang)
        yield " " * column + next(lines, "")
        yield from (" " * (column + hang) + line for line in lines)

    def _dim_skipped(self, verdict: Verdict, text: str) -> str:
        return self._paint(text, dim=True) if verdict.outcome is Outcome.SKIP else text

    def _paint(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self.options.color and text else text

    def _sanitize(self, text: str) -> str:
        """Sanitized and shortened."""
        return sanitize(shorten(text), self.options.encoding)

    def _wrap(self, text: str, column: int, hang: int = 0) -> Iterator[str]:
        """Lines of whole words; the first starts at this column, the others `hang` further right.

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
