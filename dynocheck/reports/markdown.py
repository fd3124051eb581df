"""GitHub Markdown for pull request comments and job summaries; GitLab renders it too."""

import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby

from dynocheck.core.outcomes import Cell, Finding, Outcome, Report, Table, Verdict, describe_suppressed
from dynocheck.reports._cells import format_value, split_cell
from dynocheck.reports._sparkline import draw_lines
from dynocheck.reports._text import (
    MARKS,
    decide_outcome,
    describe_result,
    flatten,
    format_place,
    sanitize,
    shorten,
)
from dynocheck.reports._unknown_reasons import UnknownReason, count_shared, find_reason
from dynocheck.reports.options import ReportOptions

_ROOM = 60_000  # characters: GitHub takes 65,536 in a comment
_MOST_ROWS = 50
_WIDTH = 100
_QUIET = (Outcome.PASS, Outcome.SKIP)
_PLAIN = re.compile(r"[\w.,:;/=+-]+( [\w.,:;/=+-]+)*")
_MARKUP = re.compile(r"[\\`*_~\[\]|]")
# What GitHub and GitLab turn into a link, a mention or mathematics.
_REFERENCE = re.compile(r"\$|[@#!~%&](?=\w)|//|(?<=GH)-(?=\d)|www(?=\.)", re.IGNORECASE)


def render(report: Report, options: ReportOptions) -> str:
    """The result, a table of the checks that did not pass, and folded details.

    Details beyond GitHub's size limit are left out and counted.
    """
    parts = [*_format_headline(report, options), *_format_overview(report)]
    room, left = _ROOM - sum(map(len, parts)), 0
    for block in _format_details(report):
        room -= len(block)
        left += room < 0
        parts += [block] if room >= 0 else []
    if left:
        parts.append(f"{left} more details are left out here; `-o html` and `-o json` have them.\n")
    return "\n".join(parts)


def _format_headline(report: Report, options: ReportOptions) -> Iterator[str]:
    mark = MARKS[decide_outcome(report, strict=options.strict)]
    name = _escape(f"{report.tool.name} {report.command}")
    yield f"### {mark} {name}: {describe_result(report, strict=options.strict)}\n"
    counts = ", ".join(f"{many} {outcome}" for outcome, many in report.summary.items() if many)
    made = f"{report.tool.name} {report.tool.version}, {report.started}"
    yield f"{counts or 'no checks'} <sub>{_escape(made)}</sub>\n"
    target = "; ".join(
        f"{_format_code(name)} {_format_code(value)}" for name, value in flatten(report.target)
    )
    if target:
        yield f"of {target}\n"


def _format_overview(report: Report) -> Iterator[str]:
    """A row per check that did not pass; checks that could not judge for the same reason share one."""
    shared = count_shared(report)
    rows = [
        (_format_outcome(each.outcome), f"{many} checks", _escape(each.text)) for each, many in shared.items()
    ]
    rows += [_format_row(verdict) for verdict in _list_notable(report) if find_reason(verdict) not in shared]
    if rows:
        yield from _format_grid(("outcome", "check", "what was seen"), rows)


def _list_notable(report: Report) -> list[Verdict]:
    return [verdict for verdict in report.verdicts if verdict.outcome not in _QUIET]


def _format_outcome(outcome: Outcome) -> str:
    return f"{MARKS[outcome]} {outcome}"


def _format_row(verdict: Verdict) -> tuple[str, str, str]:
    return _format_outcome(verdict.outcome), _format_code(verdict.check), _escape(verdict.message)


def _format_details(report: Report) -> Iterator[str]:
    shared = count_shared(report)
    for reason, many in shared.items():
        alike = [verdict for verdict in report.verdicts if find_reason(verdict) == reason]
        yield _fold(
            f"{_format_outcome(reason.outcome)} {many} checks {reason.what}", _format_reason(reason, alike)
        )
    for verdict in report.verdicts:
        alone = verdict.outcome not in _QUIET and find_reason(verdict) not in shared
        if alone or verdict.suppressed:
            check = f"<code>{_escape(verdict.check)}</code>"
            summary = f"{_format_outcome(verdict.outcome)} {check} {_escape(verdict.title)}"
            yield _fold(summary, _format_findings(verdict))
    for table in report.tables:
        yield _fold(_escape(table.title), _format_table(table))
    for chart in report.charts:
        lines = [line.rstrip() for line in draw_lines(chart, _WIDTH, lambda text: sanitize(shorten(text)))]
        if lines:
            yield _fold(_escape(chart.title), [_fence(lines), *_format_note(chart.note)])


def _format_reason(reason: UnknownReason, verdicts: Iterable[Verdict]) -> Iterator[str]:
    """A reason, its fixes, and the checks that share it."""
    yield f"because: {_escape(reason.text)}\n"
    for fix in reason.fixes:
        yield f"{_fence([sanitize(fix)])}\n"
    for verdict in verdicts:
        yield f"- {_format_code(verdict.check)} {_escape(verdict.title)}"


def _format_findings(verdict: Verdict) -> Iterator[str]:
    """The findings with evidence; a fix that several in a row share is shown once, after the last."""
    findings = () if verdict.outcome in _QUIET else verdict.findings
    for fix, alike in groupby(findings, key=lambda finding: finding.fix):
        for finding in alike:
            yield _format_finding(finding)
        if fix:
            yield "\n".join(["", "  fix:", "", _fence([sanitize(fix)], "  "), ""])
    for line in describe_suppressed(verdict.suppressed):
        yield f"- {_escape(line)}"


def _format_finding(finding: Finding) -> str:
    place = format_place(finding)
    text = f"- **{finding.outcome}** {f'{_format_code(place)}: ' if place else ''}{_escape(finding.message)}"
    seen = "; ".join(
        f"{_format_code(name)} {_format_code(value)}" for name, value in flatten(finding.evidence)
    )
    return f"{text}<br>seen: {seen}" if seen else text


def _fence(lines: list[str], indent: str = "") -> str:
    """A code block, with a fence longer than any backticks in it."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(longest + 1, 3)
    return "\n".join(f"{indent}{line}" for line in (fence, *lines, fence))


def _format_table(table: Table) -> Iterator[str]:
    if table.columns:
        rows = (tuple(map(_format_cell, row)) for row in table.rows)
        yield from _format_grid([_escape(column) for column in table.columns], rows)
    yield from _format_note(table.note)


def _format_note(note: str | None) -> Iterator[str]:
    if note:
        yield f"<sub>{_escape(note)}</sub>"


def _format_cell(cell: Cell) -> str:
    return "<br>".join(_escape(format_value(part)) for part in split_cell(cell))


def _format_grid(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table of at most 50 rows."""
    head, body = [*columns], [*rows]
    lines = [head, ["---"] * len(head), *body[:_MOST_ROWS]]
    yield "".join(f"| {' | '.join(line)} |\n" for line in lines)
    if len(body) > _MOST_ROWS:
        yield f"and {len(body) - _MOST_ROWS} more\n"


def _fold(summary: str, content: Iterable[str]) -> str:
    parts = "\n".join(content)
    return f"<details><summary>{summary}</summary>\n\n{parts}\n\n</details>\n"


def _format_code(text: str) -> str:
    """Text as code."""
    return f"`{text}`" if len(text) < 200 and _PLAIN.fullmatch(text) else f"<code>{_escape(text)}</code>"


def _escape(text: str) -> str:
    """Text without effect as markup, HTML, mention or link anywhere in a line but at its start."""
    shown, done, last = sanitize(shorten(text)), [], 0
    for found in _REFERENCE.finditer(shown):
        done += [_escape_markup(shown[last : found.start()]), f"<span>{_escape_markup(found[0])}</span>"]
        last = found.end()
    return "".join([*done, _escape_markup(shown[last:])])


def _escape_markup(text: str) -> str:
    return _MARKUP.sub(lambda char: f"&#{ord(char[0])};", escape(text, quote=False))
