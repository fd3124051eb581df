"""Runs and points made by hand, for what judges them."""

from collections.abc import Iterable
from typing import Any

from dynocheck.facts import (
    ClientLoad,
    FailureCount,
    Histogram,
    LoadLimits,
    LoadPoint,
    LoadRun,
    Sample,
    parse_limits,
)
from dynocheck.loadtest.stats.histograms import Recorder


def good(first_s: float = 0.1, last_s: float = 0.5, tokens: int | None = 21, **more: Any) -> Sample:
    """A request that went well, every token in a chunk of its own."""
    return Sample(
        start_s=more.pop("start_s", 0.0),
        sent_s=0.001,
        first_s=first_s,
        last_s=last_s,
        end_s=last_s,
        chunks=tokens or 1,
        input_tokens=100,
        output_tokens=tokens,
        **more,
    )


def bad(kind: str = "http-5xx") -> Sample:
    return Sample(start_s=0.0, sent_s=0.001, end_s=0.2, failure=kind)


def histogram(*durations: float) -> Histogram:
    recorder = Recorder()
    for duration in durations:
        recorder.add(duration)
    return recorder.histogram()


def point(samples: Iterable[Sample], *, lag_s: float = 0.0, cpu: float = 0.1, **more: Any) -> LoadPoint:
    """A measurement of these requests, four at a time, by a client this late."""
    taken = tuple(samples)
    kinds = sorted({sample.failure for sample in taken if sample.failure})
    counts = {kind: sum(sample.failure == kind for sample in taken) for kind in kinds}
    usual: dict[str, Any] = {"concurrency": 4, "window_s": 10.0, "gaps": histogram(*[0.02] * 50)}
    return LoadPoint(
        samples=taken,
        failures=tuple(FailureCount(kind, count, "it broke") for kind, count in counts.items()),
        client=ClientLoad(histogram(*[lag_s] * 200), cpu),
        **{**usual, **more},
    )


def run(*points: LoadPoint, **more: Any) -> LoadRun:
    return LoadRun(**{"url": "http://h", "model": "m", "mode": "closed", "points": points, **more})


def limits(*texts: str) -> LoadLimits:
    return parse_limits(texts, "--limit")
