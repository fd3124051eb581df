"""What is drawn of load tests."""

import random
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from dynocheck.checks.load import tables
from dynocheck.checks.load.charts import curve, latency_spread, timeline
from dynocheck.core.declarations import ChartMaker
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.outcomes import Panel
from dynocheck.core.report_builder import build_report, tabulate
from dynocheck.facts import LATENCIES, LoadPoint, LoadRun, Sample
from dynocheck.reports import render_report
from tests.loadtest.making import bad, good, histogram, point, run

CHARTS = (latency_spread, timeline, curve)


@cache
def scatter(n: int, *, concurrency: int = 4) -> LoadPoint:
    """Requests one after the other, their times as wide apart as those of real ones."""
    chance = random.Random(0)
    firsts = [chance.lognormvariate(-2.5, 0.8) for _ in range(n)]
    samples = [good(first, first + 1, start_s=place / 4) for place, first in enumerate(firsts)]
    gaps = histogram(*[chance.lognormvariate(-4, 0.5) for _ in range(n * 20)])
    return point(samples, concurrency=concurrency, window_s=n / 4 + 5, gaps=gaps)


def panels(chart: ChartMaker, *measured: LoadPoint) -> dict[str, Panel]:
    return {panel.title: panel for panel in chart(run(*measured))}


def draw_ttft(*firsts: float, last_s: float = 2) -> Panel:
    return panels(latency_spread, point([good(first, last_s) for first in firsts]))["ttft"]


@pytest.mark.parametrize("n", [1, 2, 9, 100, 10_000])
def test_every_value_is_in_one_bin(n: int) -> None:
    drawn = panels(latency_spread, scatter(n))
    assert set(drawn) <= set(LATENCIES)
    for metric, panel in drawn.items():
        (series,) = panel.series
        counted = n * 20 if metric == "chunk_gap" else n
        assert (sum(series.y), panel.note) == (counted, f"n={counted}")
        assert 1 <= len(series.y) <= 40
        assert list(series.x) == sorted(set(series.x))
        assert all(series.x[0] <= mark.at <= series.x[-1] * 1.001 for mark in panel.marks)


def test_percentiles_are_marked_as_the_table_has_them() -> None:
    rows = {row["metric"]: row for row in tables.latency_table(run(scatter(100)))}
    for metric, panel in panels(latency_spread, scatter(100)).items():
        assert [mark.name for mark in panel.marks] == ["p50", "p90", "p99"]
        for mark in panel.marks:
            assert mark.at == pytest.approx(rows[metric][mark.name], abs=0.01)


@pytest.mark.parametrize(("n", "marked"), [(1, []), (9, ["p50"]), (10, ["p50", "p90"]), (99, ["p50", "p90"])])
def test_too_few_values_are_not_marked(n: int, marked: list[str]) -> None:
    assert [mark.name for mark in draw_ttft(*[0.1] * n).marks] == marked


@pytest.mark.parametrize(
    ("values", "log", "x", "y"),
    [
        ([0.1] * 4 + [0.2] * 2 + [0.4] * 2, False, (100, 175, 250, 325, 400), (4, 2, 0, 2)),
        ([0.01] * 4 + [0.1] * 2 + [1.0] * 2, True, (10, 31.6228, 100, 316.228, 1000), (4, 0, 2, 2)),
        ([0.1] * 50, False, (99, 101), (50,)),
    ],
    ids=["equal bins where they are not wide apart", "by their logarithm", "all alike"],
)
def test_bins_are_where_the_values_are(values: list[float], log: bool, x: Any, y: Any) -> None:
    panel = draw_ttft(*values)
    (series,) = panel.series
    assert (panel.log, series.y) == (log, y)
    assert series.x == pytest.approx(x)


def test_chunks_that_came_at_once_are_counted_too() -> None:
    panel = panels(latency_spread, point([good()], gaps=histogram(0.0, 0.0, 0.01, 0.02)))["chunk_gap"]
    (series,) = panel.series
    assert (panel.log, sum(series.y), series.y[0]) == (True, 4, 2)
    assert series.x[0] < 0.001 < 20 < series.x[-1]


def test_what_the_client_blurred_is_not_drawn() -> None:
    blurred = point([good(0.01, 0.02)] * 50, lag_s=0.05, gaps=histogram(*[1.0] * 50))
    assert set(panels(latency_spread, blurred)) == {"chunk_gap"}
    bound = point([good()] * 50, cpu=0.99)
    assert [panels(chart, bound, bound) for chart in CHARTS] == [{}] * 3


def test_failed_requests_have_no_latency_and_are_seen_in_time() -> None:
    measured = point([*[good()] * 24, *[bad()] * 10])
    assert panels(latency_spread, measured)["ttft"].note == "n=24"
    assert total(panels(timeline, measured)["failed requests/s"]) == pytest.approx(10, rel=1e-4)
    assert "failed requests/s" not in panels(timeline, point([good()] * 24))


def total(panel: Panel) -> float:
    """What its values come to over all of the time."""
    (series,) = panel.series
    lasting = [right - left for left, right in pairwise(series.x)]
    return sum(value * seconds for value, seconds in zip(series.y, lasting, strict=True))


def test_what_went_on_adds_up_to_what_was_measured() -> None:
    whole = scatter(300)
    drawn = panels(timeline, whole)
    lasting = sum(sample.end_s - (sample.sent_s or 0) for sample in whole.samples)
    for title, expected in (
        ("requests/s", 300),
        ("output tokens/s", 300 * 21),
        ("requests in flight", lasting),
    ):
        assert total(drawn[title]) == pytest.approx(expected, rel=1e-3)
    for panel in drawn.values():
        (series,) = panel.series
        assert (series.x[0], len(series.y)) == (0, 60)
        assert series.x[-1] == pytest.approx(whole.window_s)


def test_a_request_is_in_flight_from_when_it_was_sent_to_its_end() -> None:
    """Forty at once, sent a second late, in the middle of ten seconds."""
    sample = Sample(start_s=4, sent_s=1, first_s=1.5, last_s=3, end_s=3, chunks=2, output_tokens=8)
    drawn = panels(timeline, point([sample] * 40))
    assert drawn["requests in flight"].series[0].y == (0, 0, 0, 0, 0, 40, 40, 0, 0, 0)
    assert drawn["output tokens/s"].series[0].y[5:7] == pytest.approx((106.667, 213.333))
    assert drawn["requests/s"].series[0].y == (0, 0, 0, 0, 0, 0, 0, 40, 0, 0)


def test_tokens_that_nobody_counted_are_not_drawn() -> None:
    uncounted = point([*[good()] * 24, good(tokens=None)])
    assert set(panels(timeline, uncounted)) == {"requests in flight", "requests/s"}


def test_a_few_requests_have_no_course() -> None:
    assert panels(timeline, point([good()] * 23)) == {}
    assert panels(timeline, point([good()] * 24)) != {}
    for chart in CHARTS:
        assert "n=0" not in str((panels(chart), panels(chart, point([], stopped=4))))


def test_a_sweep_is_a_curve_of_latency_by_throughput() -> None:
    slow = point([good(0.1, 1)] * 20, concurrency=1)
    fast = point([good(0.3, 2)] * 80, concurrency=8)
    drawn = panels(curve, slow, fast)
    assert list(drawn) == ["ttft by output tokens/s", "tpot by output tokens/s", "e2e by output tokens/s"]
    median, ninetieth = drawn["ttft by output tokens/s"].series
    assert (median.name, ninetieth.name) == ("p50", "p90")
    assert (median.x, median.y) == ((42, 168), (100, 300))
    assert median.labels == ("1 at a time", "8 at a time")
    assert panels(curve, slow) == {}


def test_a_sweep_without_usage_is_by_requests() -> None:
    drawn = panels(curve, *(point([good(tokens=None)] * n, concurrency=n) for n in (10, 20)))
    assert drawn["ttft by requests/s"].series[0].x == (1, 2)


def test_the_panels_of_a_sweep_say_of_which_load_they_are() -> None:
    both = scatter(24, concurrency=1), scatter(24, concurrency=8)
    assert "ttft, 8 at a time" in panels(latency_spread, *both)
    assert "requests/s, 1 at a time" in panels(timeline, *both)


def test_a_long_run_makes_a_small_page() -> None:
    known = Knowledge()
    known.facts[LoadRun] = run(scatter(10_000))
    made = build_report("load", {}, (), 0.0, tabulate(CHARTS, known))
    assert len(made.charts) == 2
    assert all(len(render_report(made, form)) < 60_000 for form in ("html", "json"))
