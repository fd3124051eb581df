"""Checks of load tests: failed requests, limits, client bottlenecks and regressions."""

import random

import pytest

from dynocheck.checks.load import slo
from dynocheck.facts import LoadBaseline, LoadPoint, LoadRun, parse_annotation
from dynocheck.loadtest.stats.comparison import _draw_percentile, compare_runs, find_mismatch
from tests.checks.judging import outcomes, run_check
from tests.loadtest.making import bad, good, limits, point, run

MANY = [good()] * 100
MET, FAILED = point(MANY), point([*MANY, bad()])


def scatter(ttft_s: float, n: int, seed: int = 0) -> LoadRun:
    """A run of n requests whose ttft scatters by 10 %."""
    chance = random.Random(seed)
    firsts = [ttft_s * chance.uniform(0.9, 1.1) for _ in range(n)]
    return run(point([good(first, first + 10 * ttft_s) for first in firsts]))


def compare(now: LoadRun, before: LoadRun, tolerance: float = 0.1) -> set[str]:
    return set(outcomes(slo.baseline, now, LoadBaseline(before, tolerance)))


def test_one_finding_per_class_of_failure() -> None:
    measured = run(point([*MANY, bad(), bad(), bad("timeout (idle)")]))
    first, second = run_check(slo.errors, measured, None)
    assert (first.outcome, second.outcome) == ("fail", "fail")
    assert first.evidence == {"failed": 2, "sent": 103, "class": "http-5xx"}


@pytest.mark.parametrize(
    ("measured", "limit", "errors", "client"),
    [
        (run(point(MANY)), None, [], []),
        (run(FAILED), "error_rate=5%", ["warn"], []),  # so many may fail
        (run(FAILED), "error_rate=0", ["fail"], []),
        (run(FAILED), "ttft.p50=1s", ["fail"], []),
        (run(point([*MANY, bad("client")])), None, ["unknown"], ["unknown"]),  # not the server's
        (run(), None, ["unknown"], ["skip"]),
        (run(point([], stopped=4)), None, ["unknown"], ["skip"]),
    ],
)
def test_errors(measured: LoadRun, limit: str | None, errors: list[str], client: list[str]) -> None:
    assert outcomes(slo.errors, measured, limits(limit) if limit else None) == errors
    assert outcomes(slo.client, measured) == client


LATE, STARVED = point([good(0.02, 3.0)] * 100, lag_s=0.05), point([*MANY, bad()], cpu=0.99)
UNCOUNTED = point([good(tokens=None)] * 20)


@pytest.mark.parametrize(
    ("measured", "texts", "expected"),
    [
        (MET, "ttft.p99=100ms e2e.max=500ms tpot.mean=20ms chunk_gap.p95=21ms error_rate=0", []),
        (MET, "requests_per_s=10 output_tokens_per_s=210", []),
        (MET, "ttft.p99=99ms requests_per_s=11 goodput=1000", ["fail"] * 3),
        (MET, "", ["skip"]),
        (FAILED, "error_rate=5%", []),
        (point([good()] * 99), "ttft.p99=1ms", ["unknown"]),
        (UNCOUNTED, "output_tokens_per_s=1 tpot.p50=1ms", ["unknown"] * 2),
        # a late client makes only short latencies unknown
        (LATE, "ttft.p50=1ms", ["unknown"]),
        (LATE, "e2e.p50=1s", ["fail"]),
        (LATE, "ttft.p50=10ms goodput=5", ["unknown"] * 2),
        (LATE, "e2e.p50=1s goodput=5", ["fail"] * 2),
        (STARVED, "requests_per_s=99", ["unknown"]),
        (STARVED, "error_rate=0", ["fail"]),
    ],
)
def test_limits(measured: LoadPoint, texts: str, expected: list[str]) -> None:
    assert outcomes(slo.limits, run(measured), limits(*texts.split())) == expected


def test_a_late_client() -> None:
    assert outcomes(slo.client, run(LATE)) == ["unknown"]


def test_a_limit_that_cannot_be_parsed_is_unknown_and_the_others_are_judged() -> None:
    bounds = limits("ttft.p50=50ms").with_defaults(parse_annotation("e2e.p50=soon ttft.p50=never", "graph g"))
    misread, broken = run_check(slo.limits, run(MET), bounds)
    assert (misread.outcome, broken.outcome) == ("unknown", "fail")
    assert broken.evidence == {"measured": 0.1, "limit": 0.05, "samples": 100, "source": "--limit"}


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
def test_baseline(ttft_s: float, n: int, before_s: float, tolerance: float, expected: set[str]) -> None:
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


BEFORE = scatter(0.1, 100)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (run(*BEFORE.points, model="other"), BEFORE),
        (run(point(MANY, concurrency=64)), BEFORE),
        (run(point([good(0.1, 0.5, tokens=7)] * 100)), run(MET)),
        # by a late client
        (run(point([good(0.02, 0.04)] * 100, lag_s=0.05)), run(point([good(0.01, 0.02)] * 100))),
    ],
)
def test_runs_that_cannot_be_compared(now: LoadRun, before: LoadRun) -> None:
    assert compare(now, before) == {"unknown"}


def test_a_run_of_another_model() -> None:
    assert find_mismatch(run(*BEFORE.points, model="other"), BEFORE)
