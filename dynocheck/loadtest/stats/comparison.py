"""Compares two load tests: better, same, worse, or too few samples.

The ratio of a percentile to the baseline's has a 95 % confidence interval by the bootstrap: both runs are
resampled 2,000 times, with replacement and a fixed seed. The k-th smallest of n resampled values is
distributed like the value at the position of a Beta(k, n - k + 1) variate, so that each resampling costs one
random number instead of n. Worse: the whole interval is above one plus the tolerance. Same or better: none of
it is; better if the whole interval is below one. Otherwise there are too few samples.
"""

import math
import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from dynocheck.facts import LoadPoint, LoadRun
from dynocheck.loadtest.stats.metrics import explain_client_latency, summarize_latency

COMPARED = (("ttft", 50), ("ttft", 90), ("tpot", 50), ("tpot", 90), ("e2e", 50), ("e2e", 90))
_DRAWS = 2000
_FEWEST = 10
_WORK = ("mode", "arrivals", "api", "model", "input_tokens", "output_tokens", "prompts", "path")
_ALIKE = 0.05  # relative difference of answer lengths

Judgement = Literal["better", "same", "worse", "too few samples"]


class Comparison(msgspec.Struct, frozen=True):
    """A percentile and the baseline's, in seconds, with the confidence interval of their ratio."""

    load: str
    metric: str
    now: float | None
    before: float | None
    low: float | None
    high: float | None
    judgement: Judgement
    samples: tuple[int, int]


def find_mismatch(run: LoadRun, before: LoadRun) -> str | None:
    """Why two runs measured different work, if they did."""
    for name in _WORK:
        ours, theirs = getattr(run, name), getattr(before, name)
        if ours != theirs:
            return f"{name.replace('_', ' ')} is {ours}, and was {theirs}"
    pairs = _pair_points(run, before)
    if not pairs:
        return "the runs have no load in common"
    for now, then in pairs:
        ours, theirs = _average_answer_length(now), _average_answer_length(then)
        if ours and theirs and abs(ours / theirs - 1) > _ALIKE:
            return f"answers were {ours:.0f} tokens long, {now.load}, in the baseline {theirs:.0f}"
    return None


def _pair_points(run: LoadRun, before: LoadRun) -> list[tuple[LoadPoint, LoadPoint]]:
    """The measurements of both runs at the same load."""
    earlier = {point.load: point for point in before.points}
    return [(point, earlier[point.load]) for point in run.points if point.load in earlier]


def _average_answer_length(point: LoadPoint) -> float | None:
    """The mean number of output tokens of the successful requests; None if none were counted."""
    counted = [sample.output_tokens for sample in point.good if sample.output_tokens is not None]
    return sum(counted) / len(counted) if counted else None


def compare_runs(run: LoadRun, before: LoadRun, tolerance: float) -> tuple[Comparison, ...]:
    """Each percentile at each load that both runs measured."""
    return tuple(
        _compare_points(now, then, metric, percent, tolerance)
        for now, then in _pair_points(run, before)
        for metric, percent in COMPARED
    )


def _compare_points(
    now: LoadPoint, then: LoadPoint, metric: str, percent: int, tolerance: float
) -> Comparison:
    ours, theirs = summarize_latency(now, metric), summarize_latency(then, metric)
    low = high = None
    judgement: Judgement = "too few samples"
    if min(ours.n, theirs.n) >= _FEWEST and not (
        explain_client_latency(now, metric) or explain_client_latency(then, metric)
    ):
        low, high = _estimate_interval(ours.values, theirs.values, percent / 100)
        judgement = _judge_interval(low, high, tolerance)
    return Comparison(
        load=now.load,
        metric=f"{metric}.p{percent}",
        now=ours.percentile(percent),
        before=theirs.percentile(percent),
        low=low,
        high=high,
        judgement=judgement,
        samples=(ours.n, theirs.n),
    )


def _judge_interval(low: float, high: float, tolerance: float) -> Judgement:
    if low > 1 + tolerance:
        return "worse"
    if high > 1 + tolerance:
        return "too few samples"
    return "better" if high < 1 else "same"


def _estimate_interval(now: Sequence[float], then: Sequence[float], share: float) -> tuple[float, float]:
    generator = random.Random(0)  # noqa: S311  (not for cryptography)
    ratios = sorted(
        _divide(_draw_percentile(now, share, generator), _draw_percentile(then, share, generator))
        for _ in range(_DRAWS)
    )
    return ratios[int(_DRAWS * 0.025)], ratios[int(_DRAWS * 0.975) - 1]


def _divide(now: float, then: float) -> float:
    return now / then if then > 0 else math.inf if now > 0 else 1.0


def _draw_percentile(values: Sequence[float], share: float, generator: random.Random) -> float:
    """A percentile of these values, resampled with replacement."""
    n = len(values)
    k = min(max(math.ceil(share * n), 1), n)
    return values[min(int(generator.betavariate(k, n - k + 1) * n), n - 1)]
