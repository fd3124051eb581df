"""A self-contained HTML page: no scripts, external fonts or images."""

from collections.abc import Container, Iterable, Iterator
from importlib.resources import files
from itertools import groupby
from xml.etree.ElementTree import Element

from dynocheck.core.outcomes import Cell, Chart, Finding, Outcome, Report, Table, Verdict, count_outcomes
from dynocheck.reports import svg
from dynocheck.reports._cells import format_value, is_number, split_cell
from dynocheck.reports._text import (
    MARKS,
    decide_outcome,
    describe_result,
    flatten,
    format_place,
    group_by_area,
    shorten,
)
from dynocheck.reports._unknown_reasons import UnknownReason, count_shared, find_reason
from dynocheck.reports._xml import Content, make_element, to_html
from dynocheck.reports.options import ReportOptions

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(report: Report, options: ReportOptions) -> str:
    """The report as a page: result, verdicts by area, charts and tables."""
    text = describe_result(report, strict=options.strict)
    head = make_element(
        "head",
        make_element("meta", charset="utf-8"),
        make_element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        make_element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        make_element("meta", name="color-scheme", content="light dark"),
        make_element("meta", name="referrer", content="no-referrer"),
        make_element("title", shorten(f"{report.tool.name} {report.command}: {text}")),
        _build_style(),
    )
    body = make_element(
        "body",
        make_element("header", *_build_header(report, options, text)),
        make_element("main", *_build_areas(report), *_build_data(report)),
        make_element("footer", make_element("p", *_format_footer(report))),
    )
    return f"<!DOCTYPE html>\n{to_html(make_element('html', head, body, lang='en'))}\n"


def _build_style() -> Element:
    style = make_element("style")
    style.text = files(__package__).joinpath("page.css").read_text("utf-8")
    return style


def _build_header(report: Report, options: ReportOptions, text: str) -> Iterator[Element]:
    deciding = decide_outcome(report, strict=options.strict)
    yield make_element("p", shorten(f"{report.tool.name} {report.command}"), class_="what")
    yield make_element("h1", f"{MARKS[deciding]} {text}", class_=deciding.value)
    counts = [
        make_element("li", make_element("b", str(count)), f" {outcome}", class_=outcome.value)
        for outcome, count in report.summary.items()
        if count
    ]
    suppressed = sum(len(verdict.suppressed) for verdict in report.verdicts)
    if suppressed:
        text = f" finding{'s' if suppressed > 1 else ''} suppressed"
        counts.append(make_element("li", make_element("b", str(suppressed)), text))
    yield make_element("ul", *counts, class_="counts", aria_label="checks by outcome")
    yield _build_list(flatten(report.target), "target")


def _format_footer(report: Report) -> Iterator[str]:
    yield shorten(f"{report.tool.name} {report.tool.version}, {report.started}, ")
    yield f"{report.duration_s:.1f} s"


def _build_list(named: Iterable[tuple[str, str]], kind: str) -> Element:
    """Names and values as a description list."""
    rows = [
        make_element("div", make_element("dt", shorten(name)), make_element("dd", shorten(value)))
        for name, value in named
    ]
    return make_element("dl", *rows, class_=kind) if rows else make_element("span")


def _build_areas(report: Report) -> Iterator[Element]:
    shared = count_shared(report)
    if shared:
        yield make_element("section", *(_build_reason(reason, many) for reason, many in shared.items()))
    for area, verdicts in group_by_area(report).items():
        counts = ", ".join(f"{many} {outcome}" for outcome, many in count_outcomes(verdicts).items() if many)
        heading = make_element("h2", shorten(area), " ", make_element("span", counts, class_="note"))
        yield make_element("section", heading, *(_build_verdict(verdict, shared) for verdict in verdicts))


def _build_reason(reason: UnknownReason, many: int) -> Element:
    """A reason that several checks share."""
    text = make_element(
        "p", _build_badge(reason.outcome), f" {many} checks {reason.what}: ", shorten(reason.text)
    )
    return make_element("article", text, *map(_build_fix, reason.fixes), class_=reason.outcome.value)


def _build_verdict(verdict: Verdict, shared: Container[UnknownReason | None]) -> Element:
    """A verdict; only the title if it passed, or if its reason is shown above for several checks."""
    above = find_reason(verdict) in shared
    titled = above or verdict.outcome is Outcome.PASS
    quiet = titled or verdict.outcome is Outcome.SKIP
    text = verdict.title if titled else verdict.message
    line = make_element(
        "p",
        _build_badge(verdict.outcome),
        " ",
        make_element("code", shorten(verdict.check)),
        " ",
        shorten(text),
    )
    title = (
        None if quiet or verdict.title == text else make_element("p", shorten(verdict.title), class_="title")
    )
    findings = () if quiet else _build_findings(verdict)
    kind = "above" if above else verdict.outcome.value
    return make_element("article", line, title, *findings, *_build_suppressed(verdict), class_=kind)


def _build_findings(verdict: Verdict) -> Iterator[Element]:
    """The findings; a fix that several in a row share is shown once, after the last."""
    for fix, findings in groupby(verdict.findings, key=lambda finding: finding.fix):
        parts = [part for finding in findings for part in _build_finding(finding, verdict)]
        parts += [_build_fix(fix)] if fix else []
        if parts:
            yield make_element("div", *parts, class_="finding")


def _build_fix(fix: str) -> Element:
    """A fix, never shortened, so that it can be copied."""
    return make_element("div", make_element("p", "fix"), make_element("pre", fix), class_="fix")


def _build_badge(outcome: Outcome) -> Element:
    return make_element("span", f"{MARKS[outcome]} {outcome}", class_=f"badge {outcome}")


def _build_finding(finding: Finding, verdict: Verdict) -> Iterator[Element]:
    """A finding; its message only if it is not the verdict's."""
    place = format_place(finding)
    alone = len(verdict.findings) == 1 and finding.message == verdict.message
    if finding.outcome is not verdict.outcome:
        yield make_element("p", *_build_summary(finding))
    elif place or not alone:
        text = None if alone else shorten(finding.message)
        code = make_element("code", shorten(place)) if place else None
        yield make_element("p", code, ": " if place and text else None, text)
    seen = list(flatten(finding.evidence))
    if seen:
        yield _build_list(seen, "evidence")


def _build_suppressed(verdict: Verdict) -> Iterator[Element]:
    """The suppressed findings, folded."""
    if verdict.suppressed:
        found = [
            make_element("li", *_build_summary(each.finding), f" ({shorten(each.description)})")
            for each in verdict.suppressed
        ]
        many = len(found)
        text = make_element("summary", f"{many} finding{'s' if many > 1 else ''} suppressed")
        yield make_element("details", text, make_element("ul", *found))


def _build_summary(finding: Finding) -> Iterator[Content]:
    place = format_place(finding)
    yield _build_badge(finding.outcome)
    yield " "
    if place:
        yield make_element("code", shorten(place))
        yield ": "
    yield shorten(finding.message)


def _build_data(report: Report) -> Iterator[Element]:
    for chart in report.charts:
        yield from _build_chart(chart)
    for table in report.tables:
        yield _build_table(table)


def _build_chart(chart: Chart) -> Iterator[Element]:
    figures = list(svg.draw_figures(chart))
    if figures:
        note = make_element("p", shorten(chart.note), class_="note") if chart.note else None
        panels = make_element("div", *figures, class_="panels")
        yield make_element("section", make_element("h2", shorten(chart.title)), panels, note)


def _build_table(table: Table) -> Element:
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    kinds = ["number" if all(map(is_number, column)) else None for column in columns]
    named = zip(table.columns, kinds, strict=True)
    head = make_element(
        "tr", *(make_element("th", shorten(name), scope="col", class_=kind) for name, kind in named)
    )
    rows = [make_element("tr", *map(_build_cell, row, kinds)) for row in table.rows]
    shown = (
        make_element("table", make_element("thead", head), make_element("tbody", *rows))
        if table.columns
        else None
    )
    note = make_element("p", shorten(table.note), class_="note") if table.note else None
    scrolled = make_element("div", shown, class_="wide") if shown is not None else None
    return make_element("section", make_element("h2", shorten(table.title)), scrolled, note)


def _build_cell(cell: Cell, kind: str | None) -> Element:
    lines: list[Content] = []
    for part in split_cell(cell):
        lines += [make_element("br")] if lines else []
        lines.append(shorten(format_value(part)))
    return make_element("td", *lines, class_=kind)
