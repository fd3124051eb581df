"""What is told of durations, and what is not told for want of them."""

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynocheck.facts import Sample
from dynocheck.loadtest.stats.metrics import (
    Summary,
    compute_error_rate,
    compute_rate,
    explain_client_bottleneck,
    explain_client_latency,
    merge_histograms,
    summarize_latency,
    summarize_values,
)
from tests.loadtest.making import bad, good, histogram, limits, point

SECONDS = st.floats(1e-6, 1e4)


@given(st.lists(SECONDS, min_size=100, max_size=300))
def test_percentiles_are_those_of_the_standard_library(values: list[float]) -> None:
    found = summarize_values(values)
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    for percent in (50, 90, 99):
        assert found.percentile(percent) == pytest.approx(cuts[percent - 1])
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.longest == max(values)


@given(st.lists(SECONDS, min_size=1, max_size=300))
def test_a_histogram_is_wrong_by_half_a_percent_at_most(values: list[float]) -> None:
    found = Summary(buckets=histogram(*values))
    assert found.n == len(values)
    assert found.longest == max(values)
    assert found.mean == pytest.approx(statistics.fmean(values))
    ordered = sorted(values)
    for percent in (50, 90, 99):
        told = found.percentile(percent)
        if told is not None:
            assert told == pytest.approx(ordered[int(percent / 100 * (len(values) - 1))], rel=0.0051)


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_histograms_add_up(some: list[float], others: list[float]) -> None:
    whole, parts = histogram(*some, *others), merge_histograms([histogram(*some), histogram(*others)])
    assert parts.counts == whole.counts
    assert parts.longest_s == whole.longest_s
    assert parts.total_s == pytest.approx(whole.total_s)


def test_a_percentile_of_too_few_is_not_told() -> None:
    assert Summary(buckets=histogram(0.0, 0.0, 0.01)).percentile(50) == 0.0  # what comes at once has no gap
    ninety_nine = summarize_values(random.Random(1).random() for _ in range(99))
    assert ninety_nine.percentile(99) is None
    assert ninety_nine.percentile(98) is not None
    assert summarize_values([*ninety_nine.values, 0.5]).percentile(99) is not None
    assert summarize_values([1.0] * 9).percentile(90) is None
    assert summarize_values([1.0] * 999).percentile(99.9) is None
    assert summarize_values([]).mean is None


def test_tpot_counts_from_the_first_token_by_the_servers_count() -> None:
    assert good(0.1, 0.5, 21).tpot_s == pytest.approx(0.02)
    assert good(0.1, 0.1, 1).tpot_s is None  # a single token
    assert good(0.1, 0.5, None).tpot_s is None  # nobody counted
    all_at_once = Sample(start_s=0, first_s=0.4, last_s=0.4, chunks=1, output_tokens=20)
    assert all_at_once.tpot_s is None
    in_pairs = Sample(start_s=0, first_s=0.1, last_s=0.5, chunks=11, output_tokens=21)
    assert in_pairs.tpot_s == pytest.approx(0.02)  # chunks are not tokens


def test_failed_requests_are_counted_and_not_timed() -> None:
    measured = point([good(first_s=0.1), bad(), bad("timeout (idle)")])
    assert summarize_latency(measured, "ttft").values == (0.1,)
    assert compute_error_rate(measured) == pytest.approx(2 / 3)
    assert compute_rate(measured, "requests_per_s") == pytest.approx(0.1)
    assert compute_rate(measured, "output_tokens_per_s") == pytest.approx(2.1)
    assert (
        compute_rate(point([good(), good(tokens=None)]), "output_tokens_per_s") is None
    )  # one is not counted


def test_goodput_is_of_requests_that_keep_every_limit() -> None:
    samples = [good(0.1, 0.5), good(0.9, 1.0), good(0.1, 9.0), bad()]
    bounds = limits("ttft.p50=500ms", "e2e.max=2s", "error_rate=50%")
    assert compute_rate(point(samples), "goodput", bounds) == pytest.approx(0.1)
    assert compute_rate(point(samples), "goodput", limits()) == pytest.approx(0.3)


def test_a_late_client_blurs_what_is_short() -> None:
    late = point([good(first_s=0.02, last_s=2.0)] * 100, lag_s=0.005)
    assert explain_client_latency(late, "ttft")
    assert explain_client_latency(late, "chunk_gap")
    assert explain_client_latency(late, "e2e") is None
    assert explain_client_latency(late, "tpot") is None
    assert explain_client_bottleneck(late) is None
    assert explain_client_latency(point([good()] * 100, lag_s=0.001), "ttft") is None


def test_a_client_without_room_measures_nothing() -> None:
    for measured in (point([good()], cpu=0.97), point([good(), bad("client")])):
        assert explain_client_bottleneck(measured)
        assert explain_client_latency(measured, "e2e")
    assert explain_client_latency(point([good(late_s=0.3)] * 100), "ttft"), "requests began late"


@pytest.mark.parametrize(
    ("text", "metric", "stat", "bound"),
    [
        ("ttft.p95=500ms", "ttft", "p95", 0.5),
        ("e2e.max=2s", "e2e", "max", 2.0),
        ("chunk_gap.p99.9=50ms", "chunk_gap", "p99.9", 0.05),
        ("tpot.mean=800us", "tpot", "mean", 0.0008),
        ("error_rate=0", "error_rate", None, 0.0),
        ("error_rate=1%", "error_rate", None, 0.01),
        ("output_tokens_per_s=1000", "output_tokens_per_s", None, 1000.0),
        (" ttft.p95.0 = 1.5s ", "ttft", "p95", 1.5),
    ],
)
def test_limits(text: str, metric: str, stat: str | None, bound: float) -> None:
    (found,) = limits(text)
    assert (found.metric, found.stat, found.bound) == (metric, stat, bound)


@pytest.mark.parametrize(
    "text",
    [
        *("", "ttft", "ttft=1s", "ttft.p95", "ttft.p95=fast", "ttft.p95=500", "ttft.p100=1s", "ttft.p0=1s"),
        *(
            *("ttft.p00.0=1s", "itl.p50=1ms", "error_rate=2", "error_rate.p50=0", "goodput=1s"),
            *("goodput.mean=1", "e2e.p95=-1s"),
        ),
    ],
)
def test_what_is_no_limit_is_told(text: str) -> None:
    found = limits(text)
    assert found.items == ()
    assert [str(each).partition(f"--limit: {text}: ")[0] for each in found.misread] == [""]
