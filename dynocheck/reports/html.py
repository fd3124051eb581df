"""One page that needs nothing else: no script, no font, no picture from anywhere, so it can be mailed."""

from collections.abc import Container, Iterable, Iterator
from importlib.resources import files
from itertools import groupby
from xml.etree.ElementTree import Element

from dynocheck.core.outcomes import Cell, Chart, Finding, Outcome, Report, Table, Verdict, summarize
from dynocheck.reports import svg
from dynocheck.reports._cells import is_number, parts, words
from dynocheck.reports._text import MARKS, by_area, decided, meaning, pairs, shortened, where
from dynocheck.reports._unknown_reasons import Reason, reason_of, shared
from dynocheck.reports._xml import Content, tag, written
from dynocheck.reports.options import Options

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def text(report: Report, options: Options) -> str:
    """The report as a page: what it comes to, the verdicts by area, then what was seen."""
    said = meaning(report, strict=options.strict)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", shortened(f"{report.tool.name} {report.command}: {said}")),
        _style(),
    )
    body = tag(
        "body",
        tag("header", *_header(report, options, said)),
        tag("main", *_areas(report), *_seen(report)),
        tag("footer", tag("p", *_made(report))),
    )
    return f"<!DOCTYPE html>\n{written(tag('html', head, body, lang='en'))}\n"


def _style() -> Element:
    style = tag("style")
    style.text = files(__package__).joinpath("page.css").read_text("utf-8")
    return style


def _header(report: Report, options: Options, said: str) -> Iterator[Element]:
    deciding = decided(report, strict=options.strict)
    yield tag("p", shortened(f"{report.tool.name} {report.command}"), class_="what")
    yield tag("h1", f"{MARKS[deciding]} {said}", class_=deciding.value)
    counts = [
        tag("li", tag("b", str(count)), f" {outcome}", class_=outcome.value)
        for outcome, count in report.summary.items()
        if count
    ]
    aside = sum(len(verdict.suppressed) for verdict in report.verdicts)
    if aside:
        counts.append(tag("li", tag("b", str(aside)), f" finding{'s' if aside > 1 else ''} put aside"))
    yield tag("ul", *counts, class_="counts", aria_label="checks by outcome")
    yield _listed(pairs(report.target), "target")


def _made(report: Report) -> Iterator[str]:
    yield shortened(f"{report.tool.name} {report.tool.version}, {report.started}, ")
    yield f"{report.duration_s:.1f} s"


def _listed(named: Iterable[tuple[str, str]], kind: str) -> Element:
    """Names with their values."""
    rows = [tag("div", tag("dt", shortened(name)), tag("dd", shortened(value))) for name, value in named]
    return tag("dl", *rows, class_=kind) if rows else tag("span")


def _areas(report: Report) -> Iterator[Element]:
    together = shared(report)
    if together:
        yield tag("section", *(_shared(reason, many) for reason, many in together.items()))
    for area, verdicts in by_area(report).items():
        counts = ", ".join(f"{many} {outcome}" for outcome, many in summarize(verdicts).items() if many)
        heading = tag("h2", shortened(area), " ", tag("span", counts, class_="note"))
        yield tag("section", heading, *(_verdict(verdict, together) for verdict in verdicts))


def _shared(reason: Reason, many: int) -> Element:
    """Why so many checks could not judge."""
    said = tag("p", _badge(reason.outcome), f" {many} checks {reason.what}: ", shortened(reason.said))
    return tag("article", said, *map(_fix, reason.fixes), class_=reason.outcome.value)


def _verdict(verdict: Verdict, together: Container[Reason | None]) -> Element:
    """What a check said; only its title where it holds, or where the reason is said above for several."""
    above = reason_of(verdict) in together
    titled = above or verdict.outcome is Outcome.PASS
    quiet = titled or verdict.outcome is Outcome.SKIP
    said = verdict.title if titled else verdict.message
    line = tag("p", _badge(verdict.outcome), " ", tag("code", shortened(verdict.check)), " ", shortened(said))
    title = None if quiet or verdict.title == said else tag("p", shortened(verdict.title), class_="title")
    findings = () if quiet else _findings(verdict)
    kind = "above" if above else verdict.outcome.value
    return tag("article", line, title, *findings, *_aside(verdict), class_=kind)


def _findings(verdict: Verdict) -> Iterator[Element]:
    """Each finding; a fix that several in a row share is said once, after the last of them."""
    for fix, findings in groupby(verdict.findings, key=lambda finding: finding.fix):
        told = [part for finding in findings for part in _finding(finding, verdict)]
        told += [_fix(fix)] if fix else []
        if told:
            yield tag("div", *told, class_="finding")


def _fix(fix: str) -> Element:
    """Never cut: it is there to be copied."""
    return tag("div", tag("p", "fix"), tag("pre", fix), class_="fix")


def _badge(outcome: Outcome) -> Element:
    return tag("span", f"{MARKS[outcome]} {outcome}", class_=f"badge {outcome}")


def _finding(finding: Finding, verdict: Verdict) -> Iterator[Element]:
    """What was seen, on what; its message where the verdict does not say it already."""
    place = where(finding)
    alone = len(verdict.findings) == 1 and finding.message == verdict.message
    if finding.outcome is not verdict.outcome:
        yield tag("p", *_set_out(finding))
    elif place or not alone:
        said = None if alone else shortened(finding.message)
        code = tag("code", shortened(place)) if place else None
        yield tag("p", code, ": " if place and said else None, said)
    seen = list(pairs(finding.evidence))
    if seen:
        yield _listed(seen, "evidence")


def _aside(verdict: Verdict) -> Iterator[Element]:
    """What it found that does not count."""
    if verdict.suppressed:
        found = [
            tag("li", *_set_out(each.finding), f" ({shortened(each.how)})") for each in verdict.suppressed
        ]
        many = len(found)
        said = tag("summary", f"{many} finding{'s' if many > 1 else ''} put aside")
        yield tag("details", said, tag("ul", *found))


def _set_out(finding: Finding) -> Iterator[Content]:
    place = where(finding)
    yield _badge(finding.outcome)
    yield " "
    if place:
        yield tag("code", shortened(place))
        yield ": "
    yield shortened(finding.message)


def _seen(report: Report) -> Iterator[Element]:
    for chart in report.charts:
        yield from _chart(chart)
    for table in report.tables:
        yield _table(table)


def _chart(chart: Chart) -> Iterator[Element]:
    figures = list(svg.drawn(chart))
    if figures:
        note = tag("p", shortened(chart.note), class_="note") if chart.note else None
        panels = tag("div", *figures, class_="panels")
        yield tag("section", tag("h2", shortened(chart.title)), panels, note)


def _table(table: Table) -> Element:
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    kinds = ["number" if all(map(is_number, column)) else None for column in columns]
    named = zip(table.columns, kinds, strict=True)
    head = tag("tr", *(tag("th", shortened(name), scope="col", class_=kind) for name, kind in named))
    rows = [tag("tr", *map(_cell, row, kinds)) for row in table.rows]
    shown = tag("table", tag("thead", head), tag("tbody", *rows)) if table.columns else None
    note = tag("p", shortened(table.note), class_="note") if table.note else None
    scrolled = tag("div", shown, class_="wide") if shown is not None else None
    return tag("section", tag("h2", shortened(table.title)), scrolled, note)


def _cell(cell: Cell, kind: str | None) -> Element:
    lines: list[Content] = []
    for part in parts(cell):
        lines += [tag("br")] if lines else []
        lines.append(shortened(words(part)))
    return tag("td", *lines, class_=kind)
