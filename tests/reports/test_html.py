"""The page: what it says, and that it needs nothing else."""

import re

import msgspec
import pytest
from lxml import etree

from dynocheck.core.outcomes import Chart, FindingRef, Location, Outcome, Report, Series
from dynocheck.reports import ReportOptions, render_report
from tests.reports.samples import (
    CHARTS,
    FAIL,
    PASS,
    UNKNOWN,
    UNREACHABLE,
    WARN,
    every_outcome,
    finding,
    lone,
    report,
    server_down,
    verdict,
    with_charts,
)
from tests.reports.schemas import valid_page
from tests.reports.test_hostile import HOSTILE, filled

REFERENCES = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href", "style"}
ACTIVE = {"script", "iframe", "object", "embed", "img", "link", "form", "base", "a", "image", "use"}


def page(shown: Report, **options: object) -> str:
    return render_report(shown, "html", ReportOptions(**options))  # type: ignore[arg-type]


def said(element: etree._Element | None) -> str:
    """What a reader sees, in one line."""
    assert element is not None
    return " ".join(" ".join(map(str, element.itertext())).split())


@pytest.mark.parametrize("made", [every_outcome(), server_down(), report(), with_charts()])
def test_a_page_is_valid_and_refers_to_nothing(made: Report) -> None:
    refers_to_nothing(page(made))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.UNKNOWN, Outcome.SKIP])
def test_nothing_from_outside_becomes_part_of_the_page(text: str, outcome: Outcome) -> None:
    """Whatever the names are, the elements are those of harmless names, less a label that has no room."""
    root = refers_to_nothing(page(filled(text, outcome)))
    harmless = valid_page(page(filled("harmless" if text.strip() else text, outcome)))
    assert elements(root) == elements(harmless)


def elements(root: etree._Element) -> list[str]:
    tags = [str(each.tag).rpartition("}")[2] for each in root.iter()]
    return [tag for tag in tags if tag != "text"]


def refers_to_nothing(text: str) -> etree._Element:
    """The root of a valid page without active elements, references, handlers or addresses in its style."""
    root = valid_page(text)
    for element in root.iter():
        assert str(element.tag).rpartition("}")[2] not in ACTIVE
        names = {str(name).lower() for name in element.attrib}
        assert not names & REFERENCES
        assert not [name for name in names if name.startswith("on")]
    (style,) = root.findall(".//style")
    assert not re.search(r"url\(|@import|expression", style.text or "")
    (policy,) = [m.get("content", "") for m in root.iter("meta") if m.get("http-equiv")]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    return root


def test_the_page_says_all_that_the_report_does() -> None:
    shown = msgspec.structs.replace(every_outcome(), tables=with_charts().tables)
    root = valid_page(page(shown))
    text = said(root)
    assert root.findtext(".//h1") == "✘ not fit"
    assert "dynocheck 0.1.0, 2026-03-01T12:00:00.000Z, 2.1 s" in text
    assert [heading.text for heading in root.iter("h2")] == ["What each variant asks for"]
    for each in shown.verdicts:
        assert each.check in text
        assert each.findings or each.message in text
        assert [f.message for f in each.findings if f.message not in text] == []
    assert "recipes/llama-3-70b/vllm/disagg/deploy.yaml:48:13" in text
    assert "largest.node gpu-worker-03" in text
    assert "prefill decode 2 1 yes" in text


def test_fixes_are_there_to_be_copied_each_once() -> None:
    shown = every_outcome()
    fixes = [block.text for block in valid_page(page(shown)).iter("pre")]
    every = {finding.fix for each in shown.verdicts for finding in each.findings if finding.fix}
    assert set(fixes) == every
    assert len(fixes) == len(every)


def test_a_reason_of_many_checks_is_said_once() -> None:
    down = (lone(UNKNOWN, each.check, UNREACHABLE, fix="start it") for each in server_down().verdicts)
    text = said(valid_page(page(report(*down))).find(".//main"))
    assert text.count(UNREACHABLE) == text.count("start it") == 1
    assert f"16 checks could not look: {UNREACHABLE}" in text
    assert "storage 4, nodes 4, operator 4, recipe 4" in text


def test_the_worst_stand_first_and_what_passed_is_folded_last() -> None:
    main = valid_page(page(every_outcome())).find(".//main")
    assert main is not None
    kinds = [each.get("class") for each in main.iter("article")]
    assert kinds == ["fail", "fail", "error", "unknown", "warn"]
    assert [each.text for each in main.iter("summary")] == ["1 passed: storage 1", "1 skipped: fabric 1"]


def test_places_beyond_three_and_what_follows_are_told() -> None:
    places = [
        finding(FAIL, "is full", location=Location("deploy.yaml", n), fix="empty it") for n in range(1, 6)
    ]
    effect = finding(WARN, "is slow", explained_by=FindingRef("a.b", 4))
    shown = report(verdict(FAIL, "a.b", "m", *places), verdict(WARN, "a.c", "m", effect))
    (article,) = valid_page(page(shown)).iter("article")
    assert [said(each) for each in article.findall(".//details/summary")] == ["2 more"]
    assert [n for n in range(1, 6) if f"deploy.yaml:{n}" not in said(article)] == []
    assert "leads to: is slow a.c" in said(article)


def test_what_does_not_count_is_folded_and_counted() -> None:
    root = valid_page(page(filled("text", Outcome.PASS)))
    assert "4 findings suppressed" in said(root.find(".//header"))
    assert [each.text for each in root.iter("summary")][-1] == "4 findings suppressed"
    assert "ignored: text" in said(root)
    assert "in the baseline text" in said(root)


@pytest.mark.parametrize(
    ("made", "strict", "heading"),
    [
        (report(verdict(PASS, "a.b", "t")), False, "✔ fit"),
        (server_down(), False, "? could not tell"),
        (report(), False, "? could not tell, nothing was judged"),
        (report(verdict(Outcome.WARN, "a.b", "t")), False, "✔ fit"),
        (report(verdict(Outcome.WARN, "a.b", "t")), True, "✘ not fit, warnings count here"),
    ],
)
def test_the_heading_is_the_exit_code_in_words(made: Report, strict: bool, heading: str) -> None:
    assert valid_page(page(made, strict=strict)).findtext(".//h1") == heading


def test_each_panel_is_a_picture_that_can_be_heard() -> None:
    root = valid_page(page(with_charts()))
    pictures = [each for each in root.iter() if str(each.tag).endswith("svg") and each.get("role") == "img"]
    titles = [next(child.text for child in each if str(child.tag).endswith("title")) for each in pictures]
    assert titles == [
        "histogram of ttft: requests, from 0 to 10, by ms; p50 25 ms; p90 39 ms",
        "timeline of requests in flight: requests in flight, from 2 to 8, by s",
        "curve of ttft by output tokens/s: ms, from 20 to 80, by output tokens/s",
    ]


def test_bars_are_as_high_as_what_they_count() -> None:
    root = valid_page(page(with_charts()))
    bars = {bar[0].text: bar for bar in root.iter() if str(bar.tag).endswith("rect")}
    assert list(bars) == ["10 to 20 ms: 5 requests", "20 to 40 ms: 10 requests", "80 to 160 ms: 1 requests"]
    five, ten, one = (float(bar.get("height", "0")) for bar in bars.values())
    assert ten == pytest.approx(2 * five, abs=0.2)
    assert five == pytest.approx(5 * one, abs=0.5)
    widths = {round(float(bar.get("width", "0")), 0) for bar in bars.values()}
    assert len(widths) == 1, "equal ratios are equally wide by their logarithm"


def test_a_chart_of_nothing_is_left_out() -> None:
    panel = CHARTS[0].panels[0]
    bare = msgspec.structs.replace(panel, series=(Series(x=(), y=()),))
    none = msgspec.structs.replace(panel, series=())
    nothing = msgspec.structs.replace(CHARTS[0], panels=(bare, none))
    for format in ("html", "table", "markdown"):  # noqa: A001
        assert CHARTS[0].title not in render_report(report(charts=(nothing,)), format)


@pytest.mark.parametrize("chart", CHARTS, ids=[chart.kind for chart in CHARTS])
def test_a_series_of_nothing_beside_another_is_left_out(chart: Chart) -> None:
    panel = chart.panels[0]
    beside = msgspec.structs.replace(panel, series=(*panel.series, Series(x=(), y=())))
    with_nothing = valid_page(page(report(charts=(msgspec.structs.replace(chart, panels=(beside,)),))))
    without = valid_page(page(report(charts=(chart,))))
    drawn = [[str(each.tag) for each in root.find(".//figure").iter()] for root in (with_nothing, without)]  # type: ignore[union-attr]
    assert drawn[0].count("{http://www.w3.org/2000/svg}rect") == drawn[1].count(
        "{http://www.w3.org/2000/svg}rect"
    )
    assert len(drawn[0]) >= len(drawn[1]) > 10
