"""Durations in buckets: a million of them in a few kilobytes, and those of many workers added up."""

import math
from collections import Counter
from collections.abc import Iterable

from dynocheck.facts.load import Histogram

_UNIT_S = 1e-6
_RATIO = math.log(1.01)


class Recorder:
    """Takes durations in seconds."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._longest = 0.0
        self._total = 0.0

    def add(self, duration_s: float) -> None:
        bucket = bucket_of(duration_s)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._total += duration_s
        self._longest = max(self._longest, duration_s)

    def histogram(self) -> Histogram:
        return Histogram(dict(sorted(self._counts.items())), self._longest, self._total)


def bucket_of(duration_s: float) -> int:
    """The number of the bucket."""
    return int(math.log(duration_s / _UNIT_S) / _RATIO) if duration_s >= _UNIT_S else -1


def middle_of(bucket: int) -> float:
    """What a bucket stands for, in seconds."""
    return _UNIT_S * math.exp((bucket + 0.5) * _RATIO) if bucket >= 0 else 0.0


def added(histograms: Iterable[Histogram]) -> Histogram:
    """All that they hold, in one."""
    counts: Counter[int] = Counter()
    longest = total = 0.0
    for each in histograms:
        counts.update(each.counts)
        longest, total = max(longest, each.longest_s), total + each.total_s
    return Histogram(dict(sorted(counts.items())), longest, total)
