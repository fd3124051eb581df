"""GitHub's Markdown, for a comment on a pull request and the summary of a job; GitLab reads it too."""

import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby

from dynocheck.core.outcomes import Cell, Finding, Outcome, Report, Table, Verdict, counted
from dynocheck.reports._cells import parts, words
from dynocheck.reports._sparkline import drawn
from dynocheck.reports._text import MARKS, decided, meaning, pairs, shortened, visible, where
from dynocheck.reports._unknown_reasons import Reason, reason_of, shared
from dynocheck.reports.options import Options

_ROOM = 60_000  # characters: GitHub takes 65,536 in a comment
_MOST_ROWS = 50
_WIDTH = 100
_QUIET = (Outcome.PASS, Outcome.SKIP)
_PLAIN = re.compile(r"[\w.,:;/=+-]+( [\w.,:;/=+-]+)*")
_MARKUP = re.compile(r"[\\`*_~\[\]|]")
# What forges make a link or a mention of, or mathematics.
_REFERENCE = re.compile(r"\$|[@#!~%&](?=\w)|//|(?<=GH)-(?=\d)|www(?=\.)", re.IGNORECASE)


def text(report: Report, options: Options) -> str:
    """What it comes to, a table of all that is no pass, and the details of each folded.

    What there is no room for is left out, from the end, and counted.
    """
    told = [*_headline(report, options), *_overview(report)]
    room, left = _ROOM - sum(map(len, told)), 0
    for block in _details(report):
        room -= len(block)
        left += room < 0
        told += [block] if room >= 0 else []
    if left:
        told.append(f"{left} more details are left out here; `-o html` and `-o json` have them.\n")
    return "\n".join(told)


def _headline(report: Report, options: Options) -> Iterator[str]:
    mark = MARKS[decided(report, strict=options.strict)]
    name = _escaped(f"{report.tool.name} {report.command}")
    yield f"### {mark} {name}: {meaning(report, strict=options.strict)}\n"
    counts = ", ".join(f"{many} {outcome}" for outcome, many in report.summary.items() if many)
    made = f"{report.tool.name} {report.tool.version}, {report.started}"
    yield f"{counts or 'no checks'} <sub>{_escaped(made)}</sub>\n"
    target = "; ".join(f"{_code(name)} {_code(value)}" for name, value in pairs(report.target))
    if target:
        yield f"of {target}\n"


def _overview(report: Report) -> Iterator[str]:
    """A row for each check that is no pass, and one for all that could not judge for the same reason."""
    together = shared(report)
    rows = [(_marked(each.outcome), f"{many} checks", _escaped(each.said)) for each, many in together.items()]
    rows += [_row(verdict) for verdict in _told(report) if reason_of(verdict) not in together]
    if rows:
        yield from _grid(("outcome", "check", "what was seen"), rows)


def _told(report: Report) -> list[Verdict]:
    return [verdict for verdict in report.verdicts if verdict.outcome not in _QUIET]


def _marked(outcome: Outcome) -> str:
    return f"{MARKS[outcome]} {outcome}"


def _row(verdict: Verdict) -> tuple[str, str, str]:
    return _marked(verdict.outcome), _code(verdict.check), _escaped(verdict.message)


def _details(report: Report) -> Iterator[str]:
    together = shared(report)
    for reason, many in together.items():
        alike = [verdict for verdict in report.verdicts if reason_of(verdict) == reason]
        yield _folded(f"{_marked(reason.outcome)} {many} checks {reason.what}", _alike(reason, alike))
    for verdict in report.verdicts:
        alone = verdict.outcome not in _QUIET and reason_of(verdict) not in together
        if alone or verdict.suppressed:
            check = f"<code>{_escaped(verdict.check)}</code>"
            summary = f"{_marked(verdict.outcome)} {check} {_escaped(verdict.title)}"
            yield _folded(summary, _found(verdict))
    for table in report.tables:
        yield _folded(_escaped(table.title), _tabled(table))
    for chart in report.charts:
        lines = [line.rstrip() for line in drawn(chart, _WIDTH, lambda said: visible(shortened(said)))]
        if lines:
            yield _folded(_escaped(chart.title), [_fenced(lines), *_noted(chart.note)])


def _alike(reason: Reason, verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Which checks have this reason, and what mends it."""
    yield f"because: {_escaped(reason.said)}\n"
    for fix in reason.fixes:
        yield f"{_fenced([visible(fix)])}\n"
    for verdict in verdicts:
        yield f"- {_code(verdict.check)} {_escaped(verdict.title)}"


def _found(verdict: Verdict) -> Iterator[str]:
    """Each finding with what was seen; a fix that several in a row share is said once, after the last."""
    findings = () if verdict.outcome in _QUIET else verdict.findings
    for fix, alike in groupby(findings, key=lambda finding: finding.fix):
        for finding in alike:
            yield _said(finding)
        if fix:
            yield "\n".join(["", "  fix:", "", _fenced([visible(fix)], "  "), ""])
    for line in counted(verdict.suppressed):
        yield f"- {_escaped(line)}"


def _said(finding: Finding) -> str:
    place = where(finding)
    said = f"- **{finding.outcome}** {f'{_code(place)}: ' if place else ''}{_escaped(finding.message)}"
    seen = "; ".join(f"{_code(name)} {_code(value)}" for name, value in pairs(finding.evidence))
    return f"{said}<br>seen: {seen}" if seen else said


def _fenced(lines: list[str], indent: str = "") -> str:
    """A block in which everything is as it is, to be copied."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(longest + 1, 3)
    return "\n".join(f"{indent}{line}" for line in (fence, *lines, fence))


def _tabled(table: Table) -> Iterator[str]:
    if table.columns:
        rows = (tuple(map(_cell, row)) for row in table.rows)
        yield from _grid([_escaped(column) for column in table.columns], rows)
    yield from _noted(table.note)


def _noted(note: str | None) -> Iterator[str]:
    if note:
        yield f"<sub>{_escaped(note)}</sub>"


def _cell(cell: Cell) -> str:
    return "<br>".join(_escaped(words(part)) for part in parts(cell))


def _grid(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A table, of as many rows as people read."""
    head, body = [*columns], [*rows]
    lines = [head, ["---"] * len(head), *body[:_MOST_ROWS]]
    yield "".join(f"| {' | '.join(line)} |\n" for line in lines)
    if len(body) > _MOST_ROWS:
        yield f"and {len(body) - _MOST_ROWS} more\n"


def _folded(summary: str, content: Iterable[str]) -> str:
    told = "\n".join(content)
    return f"<details><summary>{summary}</summary>\n\n{told}\n\n</details>\n"


def _code(said: str) -> str:
    """A name as it is."""
    return f"`{said}`" if len(said) < 200 and _PLAIN.fullmatch(said) else f"<code>{_escaped(said)}</code>"


def _escaped(said: str) -> str:
    """Text as itself: no markup, no HTML, nobody mentioned, nothing linked; wherever it stands in a line,
    save at its beginning.
    """
    shown, done, last = visible(shortened(said)), [], 0
    for found in _REFERENCE.finditer(shown):
        done += [_literal(shown[last : found.start()]), f"<span>{_literal(found[0])}</span>"]
        last = found.end()
    return "".join([*done, _literal(shown[last:])])


def _literal(said: str) -> str:
    return _MARKUP.sub(lambda char: f"&#{ord(char[0])};", escape(said, quote=False))
