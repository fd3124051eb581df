"""GitHub Markdown for pull request comments and job summaries; GitLab renders it too."""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import accumulate

from dynocheck.core.outcomes import Cell, Finding, Outcome, Report, Table, describe_silenced
from dynocheck.reports._causes import (
    Cause,
    UnjudgedGroup,
    describe_checks,
    describe_counts,
    group_causes,
    group_unjudged,
    list_coverage,
)
from dynocheck.reports._cells import format_value, split_cell
from dynocheck.reports._sparkline import draw_lines
from dynocheck.reports._text import (
    MARKS,
    decide_outcome,
    describe_result,
    describe_target,
    flatten,
    list_config_notes,
    sanitize,
    shorten,
)
from dynocheck.reports.options import ReportOptions

_ROOM = 60_000  # characters: GitHub takes 65,536 in a comment
_ROOM_FOR_ROWS = 20_000
_MOST_ROWS = 50
_PLACES = 300  # of all causes together
_FEWEST_PLACES = 5
_MOST_IN_CELL = 300
_WIDTH = 100
_NOT_JUDGED = f"{MARKS[Outcome.UNJUDGED]} {Outcome.UNJUDGED}"
_PLAIN = re.compile(r"[\w.,:;/=+-]+( [\w.,:;/=+-]+)*")
_MARKUP = re.compile(r"[\\`*_~\[\]|]")
# What GitHub and GitLab turn into a link, a mention or mathematics.
_REFERENCE = re.compile(r"\$|[@#!~%&](?=\w)|//|(?<=GH)-(?=\d)|www(?=\.)", re.IGNORECASE)


def render(report: Report, options: ReportOptions) -> str:
    """The result, a table of the problems by cause, and folded details; the worst come first.

    Rows and details beyond GitHub's size limit are left out and counted.
    """
    causes, unjudged = group_causes(report), group_unjudged(report)
    parts = [*_format_headline(report, options, causes), *_format_overview(causes, unjudged)]
    room, left = _ROOM - sum(map(len, parts)), 0
    for block in _format_details(report, causes, unjudged):
        left += len(block) > room
        if len(block) <= room:
            parts.append(block)
            room -= len(block)
    if left:
        parts.append(f"{left} more details are left out here; `-o html` and `-o json` have them.\n")
    return "\n".join(parts)


def _format_headline(report: Report, options: ReportOptions, causes: Sequence[Cause]) -> Iterator[str]:
    mark = MARKS[decide_outcome(report, strict=options.strict)]
    name = _escape(f"{report.tool.name} {report.command}")
    yield f"### {mark} {name}: {describe_result(report, strict=options.strict)}\n"
    made = f"{report.tool.name} {report.tool.version}, {report.started}"
    yield f"{describe_counts(report, causes)} <sub>{_escape(made)}</sub>\n"
    target = "; ".join(
        f"{_format_code(name)} {_format_code(value)}" for name, value in describe_target(report)
    )
    if target:
        yield f"of {target}\n"
    if coverage := list_coverage(report):
        yield f"judged: {_escape('; '.join(coverage))}\n"


def _format_overview(causes: Sequence[Cause], unjudged: Sequence[UnjudgedGroup]) -> Iterator[str]:
    """A row per cause and per reason why something was not judged, as many as there is room for."""
    rows = [
        tuple(map(_cut, (_format_outcome(c), c.headline, describe_checks(c), _name_places(c.places))))
        for c in causes
    ]
    rows += [(_NOT_JUDGED, _cut(group.headline), "", _cut(_name_places(group.things))) for group in unjudged]
    if rows:
        ends = accumulate(sum(map(len, row)) for row in rows)
        most = min(max(sum(end <= _ROOM_FOR_ROWS for end in ends), 1), _MOST_ROWS)
        yield from _format_grid(("outcome", "what was seen", "check", "where"), rows, most)


def _format_outcome(cause: Cause) -> str:
    return f"{MARKS[cause.outcome]} {cause.outcome}"


def _name_places(places: Sequence[str]) -> str:
    return f"{places[0]}{f' +{len(places) - 1}' if places[1:] else ''}" if places else ""


def _cut(text: str) -> str:
    """Text of a cell, which the details have whole."""
    return _escape(text if len(text) <= _MOST_IN_CELL else f"{text[:_MOST_IN_CELL]}...")


def _format_details(
    report: Report, causes: Sequence[Cause], unjudged: Sequence[UnjudgedGroup]
) -> Iterator[str]:
    most = max(_PLACES // max(len(causes) + len(unjudged), 1), _FEWEST_PLACES)
    for cause in causes:
        check = f"<code>{_escape(describe_checks(cause))}</code>"
        title = cause.verdicts[0].title if len(cause.verdicts) == 1 else cause.headline
        yield _fold(f"{_format_outcome(cause)} {check} {_cut(title)}", _format_cause(cause, most))
    for group in unjudged:
        needs = [f"needs: {_escape(group.needs)}\n"] if group.needs else []
        yield _fold(f"{_NOT_JUDGED} {_cut(group.headline)}", [*needs, *_format_places(group.things, most)])
    if silenced := [f"- {_escape(line)}" for line in describe_silenced(report)]:
        count = sum(len(verdict.suppressed) for verdict in report.verdicts)
        yield _fold(f"{count} finding{'' if count == 1 else 's'} suppressed", silenced)
    if notes := [f"- {_escape(line)}" for line in list_config_notes(report)]:
        yield _fold("configuration", notes)
    for table in report.tables:
        yield _fold(_escape(table.title), _format_table(table))
    for chart in report.charts:
        lines = [line.rstrip() for line in draw_lines(chart, _WIDTH, lambda text: sanitize(shorten(text)))]
        if lines:
            yield _fold(_escape(chart.title), [_fence(lines), *_format_note(chart.note)])


def _format_cause(cause: Cause, most: int) -> Iterator[str]:
    """What was found, where, what follows from it, and the fix."""
    yield f"**{cause.outcome}** {_escape(cause.headline)}{_format_evidence(cause.first)}\n"
    yield from _format_places(cause.places, most)
    for effect in cause.effects:
        yield f"\nleads to: {_escape(effect.headline)} {_format_code(describe_checks(effect))}"
    if len(cause.verdicts) > 1:
        for verdict in cause.verdicts:
            yield f"- {_format_code(verdict.check)} {_escape(verdict.title)}"
    if cause.fix:
        yield "\n".join(["", "fix:", "", _fence([sanitize(cause.fix)])])


def _format_places(places: Sequence[str], most: int) -> Iterator[str]:
    """The first places, and the number of the others."""
    for place in places[:most]:
        yield f"- {_format_code(place)}"
    if len(places) > most:
        yield f"- and {len(places) - most} more"


def _format_evidence(finding: Finding) -> str:
    seen = "; ".join(
        f"{_format_code(name)} {_format_code(value)}" for name, value in flatten(finding.evidence)
    )
    return f"<br>seen: {seen}" if seen else ""


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


def _format_grid(
    columns: Iterable[str], rows: Iterable[Iterable[str]], most: int = _MOST_ROWS
) -> Iterator[str]:
    """A table of the first rows, and the number of the others."""
    head, body = [*columns], [*rows]
    lines = [head, ["---"] * len(head), *body[:most]]
    yield "".join(f"| {' | '.join(line)} |\n" for line in lines)
    if len(body) > most:
        yield f"and {len(body) - most} more\n"


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
