"""Durations in buckets, while they come: a million of them in a few kilobytes."""

from dynocheck.facts.load.run import Histogram
from dynocheck.loadtest.stats.metrics import find_bucket


class Recorder:
    """Takes durations in seconds."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._longest = 0.0
        self._total = 0.0

    def add(self, duration_s: float) -> None:
        bucket = find_bucket(duration_s)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._total += duration_s
        self._longest = max(self._longest, duration_s)

    def histogram(self) -> Histogram:
        return Histogram(dict(sorted(self._counts.items())), self._longest, self._total)
