"""Checks of load tests: failed requests, limits, client bottlenecks and regressions."""

from __future__ import annotations

import random

import pytest

from dynocheck.checks.load import slo
from dynocheck.facts import LoadBaseline, LoadPoint, LoadRun, parse_annotation
from dynocheck.loadtest.stats.comparison import _draw_percentile, compare_runs, find_mismatch
from tests.checks.judging import get_skip_reason, outcomes, run_check
from tests.loadtest.making import bad, good, limits, point, run

MANY = [good()] * 100


def scatter(ttft_s: float, n: int, seed: int = 0) -> LoadRun:
    """A run of n requests whose ttft scatters by 10 %."""
    chance = random.Random(seed)
    firsts = [ttft_s * chance.uniform(0.9, 1.1) for _ in range(n)]
    return run(point([good(first, first + 10 * ttft_s) for first in firsts]))


def compare(now: LoadRun, before: LoadRun, tolerance: float = 0.1) -> set[str]:
    return set(outcomes(slo.baseline, now, LoadBaseline(before, tolerance)))


def judge_limits(measured: LoadPoint, *texts: str) -> list[str]:
    return outcomes(slo.limits, run(measured), limits(*texts))


def test_all_requests_succeed() -> None:
    assert outcomes(slo.errors, run(point(MANY)), None) == []
    assert outcomes(slo.client, run(point(MANY))) == []


def test_one_finding_per_class_of_failure() -> None:
    measured = run(point([*MANY, bad(), bad(), bad("timeout (idle)")]))
    first, second = run_check(slo.errors, measured, None)
    assert (first.outcome, second.outcome) == ("fail", "fail")
    assert first.evidence == {"failed": 2, "sent": 103, "class": "http-5xx"}


def test_failures_allowed_by_a_limit_are_a_warning() -> None:
    measured = point([*MANY, bad()])
    assert outcomes(slo.errors, run(measured), limits("error_rate=5%")) == ["warn"]
    assert judge_limits(measured, "error_rate=5%") == []
    for other in ("error_rate=0", "ttft.p50=1s"):
        assert outcomes(slo.errors, run(measured), limits(other)) == ["fail"]


def test_client_failures_are_not_the_servers() -> None:
    measured = run(point([*MANY, bad("client")]))
    assert outcomes(slo.errors, measured, None) == ["unknown"]
    assert outcomes(slo.client, measured) == ["unknown"]


def test_run_without_requests() -> None:
    for nothing in (run(), run(point([], stopped=4))):
        assert outcomes(slo.errors, nothing, None) == ["unknown"]
        get_skip_reason(slo.client, nothing)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("ttft.p99=100ms e2e.max=500ms tpot.mean=20ms chunk_gap.p95=21ms error_rate=0", []),
        ("requests_per_s=10 output_tokens_per_s=210", []),
        ("ttft.p99=99ms requests_per_s=11 goodput=1000", ["fail"] * 3),
    ],
)
def test_limits_that_are_met_or_not(texts: str, expected: list[str]) -> None:
    assert judge_limits(point(MANY), *texts.split()) == expected


def test_no_limits() -> None:
    get_skip_reason(slo.limits, run(point(MANY)), limits())


def test_a_limit_that_cannot_be_parsed_is_unknown_and_the_others_are_judged() -> None:
    bounds = limits("ttft.p50=50ms").with_defaults(parse_annotation("e2e.p50=soon ttft.p50=never", "graph g"))
    misread, broken = run_check(slo.limits, run(point(MANY)), bounds)
    assert (misread.outcome, broken.outcome) == ("unknown", "fail")
    assert broken.evidence == {"measured": 0.1, "limit": 0.05, "samples": 100, "source": "--limit"}


def test_limits_that_cannot_be_judged() -> None:
    assert judge_limits(point([good()] * 99), "ttft.p99=1ms") == ["unknown"]
    uncounted = point([good(tokens=None)] * 20)
    assert judge_limits(uncounted, "output_tokens_per_s=1", "tpot.p50=1ms") == ["unknown", "unknown"]


def test_a_late_client_makes_only_short_latencies_unknown() -> None:
    late = point([good(first_s=0.02, last_s=3.0)] * 100, lag_s=0.05)
    assert outcomes(slo.client, run(late)) == ["unknown"]
    assert judge_limits(late, "ttft.p50=1ms") == ["unknown"]
    assert judge_limits(late, "e2e.p50=1s") == ["fail"]
    assert judge_limits(late, "ttft.p50=10ms", "goodput=5") == ["unknown", "unknown"]
    assert judge_limits(late, "e2e.p50=1s", "goodput=5") == ["fail", "fail"]
    starved = point([*MANY, bad()], cpu=0.99)
    assert judge_limits(starved, "requests_per_s=99") == ["unknown"]
    assert judge_limits(starved, "error_rate=0") == ["fail"]


def test_each_load_of_a_sweep_is_judged() -> None:
    measured = run(point(MANY, concurrency=1), point([good(0.9, 1.5)] * 100, concurrency=8))
    (finding,) = run_check(slo.limits, measured, limits("ttft.p50=500ms"))
    assert (finding.outcome, finding.evidence["measured"]) == ("fail", 0.9)


@pytest.mark.parametrize(
    ("ttft_s", "n", "before_s", "tolerance", "expected"),
    [
        (0.1, 400, 0.1, 0.1, set()),
        (0.05, 400, 0.1, 0.1, set()),
        (0.2, 400, 0.1, 0.1, {"fail"}),
        (0.12, 400, 0.1, 0.1, {"fail"}),
        (0.12, 400, 0.1, 0.5, set()),
        (0.11, 20, 0.1, 0.1, {"unknown"}),
        (0.1, 5, 0.1, 0.1, {"unknown"}),
    ],
)
def test_comparison_with_a_baseline(
    ttft_s: float, n: int, before_s: float, tolerance: float, expected: set[str]
) -> None:
    assert compare(scatter(ttft_s, n, seed=1), scatter(before_s, n), tolerance) == expected


def test_a_faster_run_is_better() -> None:
    compared = compare_runs(scatter(0.05, 400, seed=1), scatter(0.1, 400), 0.1)
    assert {each.judgement for each in compared} == {"better"}


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_bootstrap_shortcut_matches_resampling(share: float) -> None:
    """One random number per draw gives the same interval as drawing all values."""
    chance = random.Random(5)
    values = sorted(chance.gauss(10, 1) for _ in range(60))
    short = sorted(_draw_percentile(values, share, chance) for _ in range(4000))
    place = int(share * 60) - 1
    long = sorted(sorted(chance.choices(values, k=60))[place] for _ in range(4000))
    for quantile in (0.025, 0.5, 0.975):
        assert short[int(quantile * 4000)] == pytest.approx(long[int(quantile * 4000)], abs=0.15)


def test_runs_of_different_work_are_not_compared() -> None:
    before = scatter(0.1, 100)
    other = run(*before.points, model="other")
    assert find_mismatch(other, before)
    assert compare(other, before) == {"unknown"}
    assert compare(run(point(MANY, concurrency=64)), before) == {"unknown"}
    assert compare(run(point([good(0.1, 0.5, tokens=7)] * 100)), run(point(MANY))) == {"unknown"}


def test_a_late_client_is_not_compared() -> None:
    late = run(point([good(0.02, 0.04)] * 100, lag_s=0.05))
    assert compare(late, run(point([good(0.01, 0.02)] * 100))) == {"unknown"}
