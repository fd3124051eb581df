"""What is drawn of load tests."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from dynocheck.checks.load import charts as load_charts
from dynocheck.checks.load import tables
from dynocheck.core.declarations import ChartMaker
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.outcomes import Panel
from dynocheck.core.report_builder import build_report, tabulate
from dynocheck.facts import LATENCIES, LoadPoint, LoadRun, Sample
from dynocheck.reports import render_report
from tests.loadtest.making import bad, good, histogram, point, run


def scattered(n: int, *, concurrency: int = 4, seed: int = 0) -> LoadPoint:
    """Requests one after the other, their times as wide apart as those of real ones."""
    chance = random.Random(seed)
    firsts = [chance.lognormvariate(-2.5, 0.8) for _ in range(n)]
    samples = [good(first, first + 1, start_s=place / 4) for place, first in enumerate(firsts)]
    gaps = histogram(*[chance.lognormvariate(-4, 0.5) for _ in range(n * 20)])
    return point(samples, concurrency=concurrency, window_s=n / 4 + 5, gaps=gaps)


def panels(chart: ChartMaker, measured: LoadRun) -> dict[str, Panel]:
    return {panel.title: panel for panel in chart(measured)}


@pytest.mark.parametrize("n", [1, 2, 9, 100, 10_000])
def test_every_value_is_in_one_bin(n: int) -> None:
    measured = run(scattered(n))
    drawn = panels(load_charts.latency_spread, measured)
    assert set(drawn) <= set(LATENCIES)
    for metric, panel in drawn.items():
        (series,) = panel.series
        counted = n * 20 if metric == "chunk_gap" else n
        assert sum(series.y) == counted
        assert panel.note == f"n={counted}"
        assert 1 <= len(series.y) <= 40
        assert list(series.x) == sorted(set(series.x))
        assert all(series.x[0] <= mark.at <= series.x[-1] * 1.001 for mark in panel.marks)


def test_percentiles_are_marked_as_the_table_has_them() -> None:
    measured = run(scattered(100))
    rows = {row["metric"]: row for row in tables.latency_table(measured)}
    for metric, panel in panels(load_charts.latency_spread, measured).items():
        assert [mark.name for mark in panel.marks] == ["p50", "p90", "p99"]
        for mark in panel.marks:
            assert mark.at == pytest.approx(rows[metric][mark.name], abs=0.01)


@pytest.mark.parametrize(("n", "marked"), [(1, []), (9, ["p50"]), (10, ["p50", "p90"]), (99, ["p50", "p90"])])
def test_too_few_values_are_not_marked(n: int, marked: list[str]) -> None:
    panel = panels(load_charts.latency_spread, run(point([good()] * n)))["ttft"]
    assert [mark.name for mark in panel.marks] == marked


def test_bins_are_where_the_values_are() -> None:
    """Of 0.1 to 0.4 s in equal bins, as they are not wide apart."""
    values = [0.1] * 4 + [0.2] * 2 + [0.4] * 2
    panel = panels(load_charts.latency_spread, run(point([good(value, 1) for value in values])))["ttft"]
    (series,) = panel.series
    assert series.x == (100, 175, 250, 325, 400)
    assert series.y == (4, 2, 0, 2)
    assert not panel.log


def test_values_wide_apart_are_shown_by_their_logarithm() -> None:
    values = [0.01] * 4 + [0.1] * 2 + [1.0] * 2
    panel = panels(load_charts.latency_spread, run(point([good(value, 2) for value in values])))["ttft"]
    (series,) = panel.series
    assert panel.log
    assert series.x == pytest.approx((10, 31.6228, 100, 316.228, 1000))
    assert series.y == (4, 0, 2, 2)


def test_values_alike_are_one_bin() -> None:
    panel = panels(load_charts.latency_spread, run(point([good(0.1)] * 50)))["ttft"]
    assert panel.series[0].y == (50,)
    assert panel.series[0].x == pytest.approx((99, 101))


def test_chunks_that_came_at_once_are_counted_too() -> None:
    gaps = histogram(0.0, 0.0, 0.01, 0.02)
    panel = panels(load_charts.latency_spread, run(point([good()], gaps=gaps)))["chunk_gap"]
    assert sum(panel.series[0].y) == 4
    assert panel.series[0].y[0] == 2
    assert panel.series[0].x[0] < 0.001 < 20 < panel.series[0].x[-1]
    assert panel.log


def test_what_the_client_blurred_is_not_drawn() -> None:
    blurred = point([good(0.01, 0.02)] * 50, lag_s=0.05, gaps=histogram(*[1.0] * 50))
    assert set(panels(load_charts.latency_spread, run(blurred))) == {"chunk_gap"}
    bound = point([good()] * 50, cpu=0.99)
    for chart in (load_charts.latency_spread, load_charts.timeline, load_charts.curve):
        assert panels(chart, run(bound, bound)) == {}


def test_failed_requests_have_no_latency_and_are_seen_in_time() -> None:
    measured = run(point([*[good()] * 24, *[bad()] * 10]))
    assert panels(load_charts.latency_spread, measured)["ttft"].note == "n=24"
    failed = panels(load_charts.timeline, measured)["failed requests/s"]
    assert total(failed) == pytest.approx(10, rel=1e-4)
    assert "failed requests/s" not in panels(load_charts.timeline, run(point([good()] * 24)))


def total(panel: Panel) -> float:
    """What its values come to over all of the time."""
    (series,) = panel.series
    lasting = [right - left for left, right in pairwise(series.x)]
    return sum(value * seconds for value, seconds in zip(series.y, lasting, strict=True))


def test_what_went_on_adds_up_to_what_was_measured() -> None:
    whole = scattered(300)
    drawn = panels(load_charts.timeline, run(whole))
    assert total(drawn["requests/s"]) == pytest.approx(300, rel=1e-3)
    assert total(drawn["output tokens/s"]) == pytest.approx(300 * 21, rel=1e-3)
    lasting = sum(sample.end_s - (sample.sent_s or 0) for sample in whole.samples)
    assert total(drawn["requests in flight"]) == pytest.approx(lasting, rel=1e-3)
    for panel in drawn.values():
        assert panel.series[0].x[0] == 0
        assert panel.series[0].x[-1] == pytest.approx(whole.window_s)
        assert len(panel.series[0].y) == 60


def test_a_request_is_in_flight_from_when_it_was_sent_to_its_end() -> None:
    """Forty at once, sent a second late, in the middle of ten seconds."""
    sample = Sample(start_s=4, sent_s=1, first_s=1.5, last_s=3, end_s=3, chunks=2, output_tokens=8)
    drawn = panels(load_charts.timeline, run(point([sample] * 40)))
    assert drawn["requests in flight"].series[0].y == (0, 0, 0, 0, 0, 40, 40, 0, 0, 0)
    assert drawn["output tokens/s"].series[0].y[5:7] == pytest.approx((106.667, 213.333))
    assert drawn["requests/s"].series[0].y == (0, 0, 0, 0, 0, 0, 0, 40, 0, 0)


def test_tokens_that_nobody_counted_are_not_drawn() -> None:
    drawn = panels(load_charts.timeline, run(point([*[good()] * 24, good(tokens=None)])))
    assert set(drawn) == {"requests in flight", "requests/s"}


def test_a_few_requests_have_no_course() -> None:
    assert panels(load_charts.timeline, run(point([good()] * 23))) == {}
    assert panels(load_charts.timeline, run(point([good()] * 24))) != {}
    for nothing in (run(), run(point([], stopped=4))):
        for chart in (load_charts.latency_spread, load_charts.timeline, load_charts.curve):
            assert "n=0" not in str(panels(chart, nothing))


def test_a_sweep_is_a_curve_of_latency_by_throughput() -> None:
    slow = point([good(0.1, 1)] * 20, concurrency=1)
    fast = point([good(0.3, 2)] * 80, concurrency=8)
    drawn = panels(load_charts.curve, run(slow, fast))
    assert list(drawn) == ["ttft by output tokens/s", "tpot by output tokens/s", "e2e by output tokens/s"]
    median, ninetieth = drawn["ttft by output tokens/s"].series
    assert (median.name, ninetieth.name) == ("p50", "p90")
    assert (median.x, median.y) == ((42, 168), (100, 300))
    assert median.labels == ("1 at a time", "8 at a time")
    assert panels(load_charts.curve, run(slow)) == {}


def test_a_sweep_without_usage_is_by_requests() -> None:
    points = [point([good(tokens=None)] * n, concurrency=n) for n in (10, 20)]
    drawn = panels(load_charts.curve, run(*points))
    assert "ttft by requests/s" in drawn
    assert drawn["ttft by requests/s"].series[0].x == (1, 2)


def test_the_panels_of_a_sweep_say_of_which_load_they_are() -> None:
    both = run(scattered(24, concurrency=1), scattered(24, concurrency=8))
    assert "ttft, 8 at a time" in panels(load_charts.latency_spread, both)
    assert "requests/s, 1 at a time" in panels(load_charts.timeline, both)


def test_a_long_run_makes_a_small_page() -> None:
    known = Knowledge()
    known.facts[LoadRun] = run(scattered(10_000))
    charts = (load_charts.latency_spread, load_charts.timeline, load_charts.curve)
    made = build_report("load", {}, (), 0.0, tabulate(charts, known))
    assert len(made.charts) == 2
    assert len(render_report(made, "html")) < 60_000
    assert len(render_report(made, "json")) < 60_000
