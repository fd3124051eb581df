"""Merges the simultaneous runs of several workers into one."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

import msgspec

from dynocheck.facts import ClientLoad, FailureCount, LoadPoint, LoadRun
from dynocheck.loadtest.stats.metrics import merge_histograms


def merge_runs(runs: Sequence[LoadRun]) -> LoadRun:
    """Merge runs without averaging: samples are concatenated and histograms added."""
    if len(runs) == 1:
        return runs[0]
    groups = zip_longest(*(run.points for run in runs))
    return msgspec.structs.replace(
        runs[0],
        points=tuple(_merge_points([point for point in group if point is not None]) for group in groups),
        notes=tuple(dict.fromkeys(note for run in runs for note in run.notes)),
        cold_s=max((run.cold_s for run in runs if run.cold_s is not None), default=None),
        interrupted=any(run.interrupted for run in runs),
    )


def _merge_points(points: Sequence[LoadPoint]) -> LoadPoint:
    return msgspec.structs.replace(
        points[0],
        window_s=max(point.window_s for point in points),
        samples=tuple(sorted((s for point in points for s in point.samples), key=lambda s: s.start_s)),
        gaps=merge_histograms(point.gaps for point in points),
        failures=_merge_failures(failure for point in points for failure in point.failures),
        stopped=sum(point.stopped for point in points),
        client=ClientLoad(
            lag=merge_histograms(point.client.lag for point in points),
            cpu=max(point.client.cpu for point in points),
            quickack=all(point.client.quickack for point in points),
            workers=len(points),
        ),
        counters=tuple(counter for point in points for counter in point.counters),
    )


def _merge_failures(failures: Iterable[FailureCount]) -> tuple[FailureCount, ...]:
    by_kind: dict[str, FailureCount] = {}
    for failure in failures:
        earlier = by_kind.get(failure.kind)
        count = failure.count + (earlier.count if earlier else 0)
        by_kind[failure.kind] = msgspec.structs.replace(earlier or failure, count=count)
    return tuple(by_kind[kind] for kind in sorted(by_kind))
