"""A self-contained HTML page: no scripts, external fonts or images."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element

from dynocheck.core.outcomes import Cell, Chart, Finding, Outcome, Report, Table, Verdict
from dynocheck.reports import svg
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
from dynocheck.reports._cells import format_value, is_number, split_cell
from dynocheck.reports._text import (
    MARKS,
    decide_outcome,
    describe_result,
    flatten,
    format_place,
    shorten,
)
from dynocheck.reports._xml import Content, make_element, to_html
from dynocheck.reports.options import ReportOptions

_MOST_PLACES = 3
_FOLDED = {Outcome.PASS: "passed", Outcome.SKIP: "skipped"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render(report: Report, options: ReportOptions) -> str:
    """The report as a page: the verdict, the problems by cause, the other checks, charts and tables."""
    text = describe_result(report, strict=options.strict)
    causes = group_causes(report)
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
        make_element("header", *_build_header(report, options, text, causes)),
        make_element(
            "main",
            *_build_problems(report, causes),
            make_element("section", *_build_checks_list(report)),
            *_build_data(report),
        ),
        make_element("footer", make_element("p", *_format_footer(report))),
    )
    return f"<!DOCTYPE html>\n{to_html(make_element('html', head, body, lang='en'))}\n"


def _build_style() -> Element:
    style = make_element("style")
    style.text = files(__package__).joinpath("page.css").read_text("utf-8")
    return style


def _build_header(
    report: Report, options: ReportOptions, text: str, causes: Sequence[Cause]
) -> Iterator[Element]:
    deciding = decide_outcome(report, strict=options.strict)
    yield make_element("p", shorten(f"{report.tool.name} {report.command}"), class_="what")
    yield make_element("h1", f"{MARKS[deciding]} {text}", class_=deciding.value)
    yield make_element("p", describe_counts(report, causes), class_="counts")
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


def _build_problems(report: Report, causes: Sequence[Cause]) -> Iterator[Element]:
    """What is wrong by cause, what could not be looked at and what was not judged; the worst first."""
    if causes:
        yield make_element("section", *map(_build_cause, causes))
    if groups := group_unjudged(report):
        yield make_element("section", *map(_build_unjudged, groups))
    if coverage := list_coverage(report):
        yield make_element("p", shorten(f"judged: {'; '.join(coverage)}"), class_="counts")


def _build_cause(cause: Cause) -> Element:
    line = make_element("p", _build_badge(cause.outcome), " ", shorten(cause.headline))
    holds = f": {cause.verdicts[0].title}" if len(cause.verdicts) == 1 else ""
    title = make_element("p", _build_checks(cause), shorten(holds), class_="title")
    effects = [
        make_element("p", "leads to: ", shorten(effect.headline), " ", _build_checks(effect), class_="effect")
        for effect in cause.effects
    ]
    places = () if cause.is_placed else _build_places(cause.places)
    parts = (line, title, *places, *_build_evidence(cause.first), *effects, *_build_fix(cause.fix))
    return make_element("article", *parts, class_=cause.outcome.value)


def _build_checks(cause: Cause) -> Element:
    return make_element("code", shorten(describe_checks(cause)))


def _build_places(places: Sequence[str]) -> Iterator[Element]:
    """The first places, and the others folded."""
    rows = [make_element("li", make_element("code", shorten(place))) for place in places]
    if rows[:_MOST_PLACES]:
        yield make_element("ul", *rows[:_MOST_PLACES], class_="places")
    if left := rows[_MOST_PLACES:]:
        summary = make_element("summary", f"{len(left)} more")
        yield make_element("details", summary, make_element("ul", *left, class_="places"))


def _build_unjudged(group: UnjudgedGroup) -> Element:
    line = make_element("p", _build_badge(Outcome.UNJUDGED), " ", shorten(group.headline))
    needs = make_element("p", f"needs: {shorten(group.needs)}") if group.needs else None
    return make_element("article", line, *_build_places(group.things), needs, class_=Outcome.UNJUDGED.value)


def _build_evidence(finding: Finding) -> Iterator[Element]:
    if seen := list(flatten(finding.evidence)):
        yield _build_list(seen, "evidence")


def _build_fix(fix: str | None) -> Iterator[Element]:
    """A fix, never shortened, so that it can be copied."""
    if fix:
        yield make_element("div", make_element("p", "fix"), make_element("pre", fix), class_="fix")


def _build_badge(outcome: Outcome) -> Element:
    return make_element("span", f"{MARKS[outcome]} {outcome}", class_=f"badge {outcome}")


def _build_checks_list(report: Report) -> Iterator[Element]:
    """Every check, folded by outcome, and the suppressed findings."""
    for outcome in _FOLDED:
        verdicts = [verdict for verdict in report.verdicts if verdict.outcome is outcome]
        if verdicts:
            yield _fold(
                f"{len(verdicts)} {_FOLDED[outcome]}: {count_areas(verdicts)}", map(_build_verdict, verdicts)
            )
    suppressed = [(verdict, each) for verdict in report.verdicts for each in verdict.suppressed]
    if suppressed:
        rows = [
            make_element("li", *_build_summary(verdict, each.finding), f" ({shorten(each.description)})")
            for verdict, each in suppressed
        ]
        yield _fold(f"{len(rows)} finding{'s' if len(rows) > 1 else ''} suppressed", rows)


def _fold(summary: str, rows: Iterable[Element]) -> Element:
    return make_element("details", make_element("summary", shorten(summary)), make_element("ul", *rows))


def _build_verdict(verdict: Verdict) -> Element:
    text = verdict.title if verdict.outcome is Outcome.PASS else verdict.message
    title = (
        None if text == verdict.title else make_element("span", f" {shorten(verdict.title)}", class_="note")
    )
    return make_element("li", make_element("code", shorten(verdict.check)), f" {shorten(text)}", title)


def _build_summary(verdict: Verdict, finding: Finding) -> Iterator[Content]:
    yield _build_badge(finding.outcome)
    yield " "
    yield make_element("code", shorten(verdict.check))
    place = format_place(finding)
    yield make_element("code", f" {shorten(place)}") if place else None
    yield f" {shorten(finding.message)}"


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
