"""Any report at all renders in every format."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynocheck.core.outcomes import (
    Cell,
    Chart,
    Finding,
    Location,
    Mark,
    Outcome,
    Panel,
    Report,
    Series,
    Subject,
    SuppressedFinding,
    Table,
    Tool,
    Verdict,
    count_outcomes,
)
from dynocheck.reports import FORMATS, ReportOptions, render_report
from dynocheck.reports._causes import PROBLEMS
from dynocheck.reports._text import sanitize
from tests.reports.schemas import valid_junit, valid_page, valid_report
from tests.reports.test_hostile import HOSTILE

ODD = [text for text in HOSTILE.values() if len(text) < 1000]
ENCODINGS = ["utf-8", "ascii", "latin-1", "cp1252", "gbk"]


def reports(text: st.SearchStrategy[str]) -> st.SearchStrategy[Report]:
    seconds = st.floats(0, 1e6)
    number = st.none() | st.integers(1, 10**6)
    json = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=5,
    )
    findings = st.builds(
        Finding,
        outcome=st.sampled_from(Outcome),
        message=text,
        fix=st.none() | text,
        evidence=st.dictionaries(text, json, max_size=3),
        subject=st.none() | st.builds(Subject, text, text, st.none() | text),
        location=st.none() | st.builds(Location, text, number, number),
    )
    suppressed = st.builds(
        SuppressedFinding, by=st.sampled_from(["comment", "baseline", "diff"]), reason=text, finding=findings
    )
    verdicts = st.builds(
        Verdict,
        check=text,
        title=text,
        area=st.sampled_from(["storage", "nodes"]) | text,
        outcome=st.sampled_from(Outcome),
        message=text,
        duration_s=seconds,
        findings=st.lists(findings, max_size=3).map(tuple),
        suppressed=st.lists(suppressed, max_size=2).map(tuple),
    )
    scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
    cells: st.SearchStrategy[Cell] = scalars | st.lists(scalars, max_size=3).map(tuple)
    tables = st.integers(0, 4).flatmap(
        lambda n: st.builds(
            Table,
            id=text,
            title=text,
            columns=st.tuples(*[text] * n),
            rows=st.lists(st.tuples(*[cells] * n), max_size=3).map(tuple),
            note=st.none() | text,
        )
    )
    places = st.floats(-1e15, 1e15)
    series = st.tuples(st.integers(0, 4), st.integers(0, 1)).flatmap(
        lambda size: st.builds(
            Series,
            name=text,
            x=st.lists(places, min_size=sum(size), max_size=sum(size)).map(lambda x: tuple(sorted(x))),
            y=st.tuples(*[places] * size[0]),
            labels=st.just(()) | st.tuples(*[text] * size[0]),
        )
    )
    panels = st.builds(
        Panel,
        title=text,
        x=text,
        y=text,
        series=st.lists(series, max_size=2).map(tuple),
        marks=st.lists(st.builds(Mark, text, places), max_size=2).map(tuple),
        log=st.booleans(),
        note=st.none() | text,
    )
    charts = st.builds(
        Chart,
        id=text,
        title=text,
        kind=st.sampled_from(["histogram", "timeline", "curve"]),
        panels=st.lists(panels, max_size=2).map(tuple),
        note=st.none() | text,
    )
    return st.builds(
        lambda verdicts, **fields: Report(
            verdicts=tuple(verdicts),
            summary=count_outcomes(verdicts),
            started="2026-03-01T12:00:00Z",
            **fields,
        ),
        st.lists(verdicts, max_size=4),
        tool=st.builds(Tool, text, text),
        command=text,
        duration_s=seconds,
        target=st.dictionaries(text, json, max_size=3),
        tables=st.lists(tables, max_size=2).map(tuple),
        charts=st.lists(charts, max_size=2).map(tuple),
    )


encodable = st.text(max_size=20) | st.sampled_from([text for text in ODD if text != HOSTILE["surrogate"]])
anything = st.text(st.characters(), max_size=20) | st.sampled_from(ODD)
options = st.builds(
    ReportOptions,
    strict=st.booleans(),
    detail=st.sampled_from(["normal", "verbose"]),
    junit_unknown=st.sampled_from(["error", "skipped"]),
    width=st.none() | st.integers(0, 250),
    color=st.booleans(),
    encoding=st.sampled_from(ENCODINGS),
)


def renders_everywhere(report: Report, options: ReportOptions) -> None:
    texts = {format: render_report(report, format, options) for format in FORMATS}  # noqa: A001
    commands = texts.pop("github")  # says nothing where nothing is wrong
    assert commands.count("\n") == len(commands.splitlines())
    assert all(text.endswith("\n") for text in texts.values())
    parsed = valid_report(texts["json"])
    assert len(parsed["verdicts"]) == len(report.verdicts)
    root = valid_junit(texts["junit"])
    assert len(list(root.iter("testcase"))) == len(report.verdicts)
    valid_page(texts["html"])
    texts["table"].encode(options.encoding)
    assert all(line == line.rstrip() for line in texts["table"].splitlines())
    if options.detail == "verbose":
        assert [fix for fix in _shown_fixes(report, options.encoding) if fix not in texts["table"]] == []


def _shown_fixes(report: Report, encoding: str) -> list[str]:
    return [
        sanitize(finding.fix, encoding).rstrip()
        for verdict in report.verdicts
        for finding in verdict.findings
        if finding.fix and finding.outcome in PROBLEMS
    ]


def reads_back(report: Report) -> None:
    assert msgspec.json.decode(render_report(report, "json"), type=Report) == report


few = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(reports(anything), options)
@few
def test_any_report_renders_in_every_format(report: Report, options: ReportOptions) -> None:
    renders_everywhere(report, options)


@given(reports(encodable))
@few
def test_any_report_that_json_can_carry_reads_back_the_same(report: Report) -> None:
    reads_back(report)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@given(reports(anything), options)
@many
def test_many_reports_render_in_every_format(report: Report, options: ReportOptions) -> None:
    renders_everywhere(report, options)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@given(reports(encodable))
@many
def test_many_reports_read_back_the_same(report: Report) -> None:
    reads_back(report)
