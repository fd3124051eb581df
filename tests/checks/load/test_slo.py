"""What is said of load tests."""

from __future__ import annotations

import random

import pytest

from dynocheck.checks.load import slo as load
from dynocheck.checks.load import tables
from dynocheck.facts.load.limits import parse_annotation
from dynocheck.facts.load.run import CounterGrowth, LoadBaseline, LoadRun
from dynocheck.loadtest.stats.comparison import compare_runs, find_mismatch
from tests.checks.judging import get_skip_reason, list_messages, run_check
from tests.loadtest.making import bad, good, limits, point, run

MANY = [good()] * 100


def spread(middle_s: float, n: int, seed: int = 0) -> LoadRun:
    """A run whose times scatter by a tenth around this ttft."""
    chance = random.Random(seed)
    firsts = [middle_s * chance.uniform(0.9, 1.1) for _ in range(n)]
    return run(point([good(first, first + 10 * middle_s) for first in firsts]))


def outcomes(now: LoadRun, before: LoadRun, tolerance: float = 0.1) -> set[str]:
    return {outcome for outcome, _ in list_messages(load.baseline, now, LoadBaseline(before, tolerance))}


def test_requests_that_all_went_well() -> None:
    assert list_messages(load.errors, run(point(MANY)), None) == []
    assert list_messages(load.client, run(point(MANY))) == []


def test_each_class_of_failure_is_a_finding() -> None:
    measured = run(point([*MANY, bad(), bad(), bad("timeout (idle)")]))
    outcomes = list_messages(load.errors, measured, None)
    assert [outcome for outcome, _ in outcomes] == ["fail", "fail"]
    assert outcomes[0][1] == "2 of 103 requests failed, 4 at a time: http-5xx: it broke"


def test_failures_that_a_limit_allows_are_warned_of() -> None:
    measured, bounds = run(point([*MANY, bad()])), limits("error_rate=5%")
    assert [outcome for outcome, _ in list_messages(load.errors, measured, bounds)] == ["warn"]
    assert list_messages(load.limits, measured, bounds) == []
    for none in (limits("error_rate=0"), limits("ttft.p50=1s")):
        assert [outcome for outcome, _ in list_messages(load.errors, measured, none)] == ["fail"]


def test_what_the_client_could_not_send_is_not_the_servers_failure() -> None:
    measured = run(point([*MANY, bad("client")]))
    assert [outcome for outcome, _ in list_messages(load.errors, measured, None)] == ["unknown"]
    assert [outcome for outcome, _ in list_messages(load.client, measured)] == ["unknown"]


def test_a_run_that_ended_before_its_first_answer() -> None:
    for nothing in (run(), run(point([], stopped=4))):
        assert [outcome for outcome, _ in list_messages(load.errors, nothing, None)] == ["unknown"]
        assert "nothing was measured" in get_skip_reason(load.client, nothing)


def test_limits_that_are_kept_and_broken() -> None:
    measured = run(point(MANY))
    kept = limits("ttft.p99=100ms", "e2e.max=500ms", "tpot.mean=20ms", "chunk_gap.p95=21ms", "error_rate=0")
    assert list_messages(load.limits, measured, kept) == []
    assert list_messages(load.limits, measured, limits("requests_per_s=10", "output_tokens_per_s=210")) == []
    broken = limits("ttft.p99=99ms", "requests_per_s=11", "goodput=1000")
    assert [outcome for outcome, _ in list_messages(load.limits, measured, broken)] == ["fail"] * 3
    assert list_messages(load.limits, measured, limits("ttft.p50=50ms"))[0][1] == (
        "ttft.p50=50ms, 4 at a time: it was 100.0 ms"
    )


def test_without_limits_there_is_nothing_to_keep() -> None:
    assert "no limit is given" in get_skip_reason(load.limits, run(point(MANY)), limits())


def test_what_cannot_be_understood_is_unknown_and_the_rest_is_judged() -> None:
    bounds = limits("ttft.p50=50ms").with_defaults(parse_annotation("e2e.p50=soon ttft.p50=never", "graph g"))
    findings = run_check(load.limits, run(point(MANY)), bounds)
    assert [(f.outcome, f.message) for f in findings] == [
        ("unknown", "graph g: e2e.p50=soon: not of the form ttft.p95=500ms or error_rate=1%"),
        ("fail", "ttft.p50=50ms, 4 at a time: it was 100.0 ms"),
    ]
    assert findings[1].evidence["source"] == "--limit"


def test_a_limit_on_too_few_samples_is_unknown() -> None:
    outcomes = list_messages(load.limits, run(point([good()] * 99)), limits("ttft.p99=1ms"))
    assert outcomes == [("unknown", "ttft.p99=1ms, 4 at a time: 99 samples, and it takes 100")]


def test_a_limit_on_tokens_that_nobody_counted_is_unknown() -> None:
    measured = run(point([good(tokens=None)] * 20))
    outcomes = list_messages(load.limits, measured, limits("output_tokens_per_s=1", "tpot.p50=1ms"))
    assert [outcome for outcome, _ in outcomes] == ["unknown", "unknown"]


def test_a_client_that_was_late_leaves_only_what_it_can_tell() -> None:
    measured = run(point([good(first_s=0.02, last_s=3.0)] * 100, lag_s=0.05))
    (finding,) = run_check(load.limits, measured, limits("ttft.p50=1ms"))
    assert finding.outcome == "unknown"
    assert "client-bound" in finding.message
    assert [o for o, _ in list_messages(load.limits, measured, limits("e2e.p50=1s"))] == ["fail"]
    assert [o for o, _ in list_messages(load.client, measured)] == ["unknown"]
    counted = limits("ttft.p50=10ms", "goodput=5")
    assert [o for o, _ in list_messages(load.limits, measured, counted)] == ["unknown", "unknown"]
    assert [o for o, _ in list_messages(load.limits, measured, limits("e2e.p50=1s", "goodput=5"))] == [
        "fail",
        "fail",
    ]
    starved = run(point([*MANY, bad()], cpu=0.99))
    assert [o for o, _ in list_messages(load.limits, starved, limits("requests_per_s=99"))] == ["unknown"]
    assert [o for o, _ in list_messages(load.limits, starved, limits("error_rate=0"))] == ["fail"]


def test_each_load_of_a_sweep_is_judged() -> None:
    measured = run(point(MANY, concurrency=1), point([good(0.9, 1.5)] * 100, concurrency=8))
    assert list_messages(load.limits, measured, limits("ttft.p50=500ms")) == [
        ("fail", "ttft.p50=500ms, 8 at a time: it was 900.0 ms")
    ]


def test_a_baseline_that_is_the_same_better_or_worse() -> None:
    before = spread(0.1, 400)
    assert outcomes(spread(0.1, 400, seed=1), before) == set()
    assert outcomes(spread(0.05, 400, seed=1), before) == set()
    assert outcomes(spread(0.2, 400, seed=1), before) == {"fail"}
    judged = {each.judgement for each in compare_runs(spread(0.05, 400, seed=1), before, 0.1)}
    assert judged == {"better"}


def test_the_tolerance_is_of_the_ratio() -> None:
    before, slower = spread(0.1, 400), spread(0.12, 400, seed=1)
    assert outcomes(slower, before, 0.1) == {"fail"}
    assert outcomes(slower, before, 0.5) == set()


def test_too_few_samples_say_neither() -> None:
    before = spread(0.1, 20)
    assert outcomes(spread(0.11, 20, seed=1), before) == {"unknown"}
    assert outcomes(spread(0.1, 5), spread(0.1, 5)) == {"unknown"}


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_the_interval_is_that_of_drawing_anew(share: float) -> None:
    """The shortcut by which a draw costs one random number, beside drawing all values."""
    from dynocheck.loadtest.stats.comparison import _draw_percentile

    chance = random.Random(5)
    values = sorted(chance.gauss(10, 1) for _ in range(60))
    short = sorted(_draw_percentile(values, share, chance) for _ in range(4000))
    place = int(share * 60) - 1
    long = sorted(sorted(chance.choices(values, k=60))[place] for _ in range(4000))
    for quantile in (0.025, 0.5, 0.975):
        assert short[int(quantile * 4000)] == pytest.approx(long[int(quantile * 4000)], abs=0.15)


def test_runs_of_different_work_are_not_compared() -> None:
    before = spread(0.1, 100)
    other = run(*before.points, model="other")
    assert find_mismatch(other, before)
    assert outcomes(other, before) == {"unknown"}
    assert outcomes(run(point(MANY, concurrency=64)), before) == {"unknown"}
    shorter = run(point([good(0.1, 0.5, tokens=7)] * 100))
    assert list_messages(load.baseline, shorter, LoadBaseline(run(point(MANY))))[0][1] == (
        "it is no baseline for this run: answers were 7 tokens long, 4 at a time, and had been 21"
    )


def test_a_late_client_is_not_compared() -> None:
    late = run(point([good(0.02, 0.04)] * 100, lag_s=0.05))
    assert outcomes(late, run(point([good(0.01, 0.02)] * 100))) == {"unknown"}


def test_the_tables() -> None:
    samples = [*[good(fresh=False)] * 99, good(0.2, 0.6), bad()]
    measured = run(point(samples, counters=(CounterGrowth("vllm:x_total", 3.0),), stopped=2))
    (requests,) = tables.requests(measured)
    assert (requests["sent"], requests["ok"], requests["failed"]) == (103, 100, 1)
    rows = {(row["metric"], row.get("over")): row for row in tables.latency_table(measured)}
    assert rows["ttft", None]["p50"] == 100.0
    assert rows["ttft", None]["p99"] is not None
    assert rows["ttft", "new connection"]["max"] == 200.0
    assert rows["chunk_gap", None]["p99"] is None  # 50 of them
    (rates,) = tables.throughput(measured, limits("ttft.p50=150ms"))
    assert (rates["requests/s"], rates["goodput/s"]) == (10.0, 9.9)
    (sizes,) = tables.sizes(measured)
    assert sizes["usage is not chunks"] == 0
    assert [row["counter"] for row in tables.server(measured)] == ["vllm:x_total"]
    assert next(iter(tables.client_lag(measured)))["core"] == "10%"


def test_a_late_clients_numbers_are_not_shown() -> None:
    for row in tables.latency_table(run(point([good(0.02, 0.04)] * 100, lag_s=0.05))):
        assert row["unknown"] == "client-bound"
        assert all(row[name] is None for name in ("mean", "p50", "p90", "p99", "max"))


def test_the_knee_of_a_sweep() -> None:
    loads = {1: 20.0, 2: 11.0, 4: 10.0, 8: 10.0}  # seconds for the same hundred requests
    swept = run(*(point(MANY, concurrency=load, window_s=s) for load, s in loads.items()))
    best = tables.find_knee(swept)
    assert best is not None
    assert best.concurrency == 2
    assert tables.find_knee(run(point(MANY))) is None
