"""Histograms of latencies and timelines of a load test, whose size does not depend on the number of requests.

Times are in seconds.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

import msgspec

from dynocheck.facts import Histogram, LoadPoint, Sample
from dynocheck.loadtest.stats.metrics import Summary, compute_bucket_start, find_bucket

TimedAmount = tuple[float, float, float]  # start, end, amount

_MOST_BINS = 40
_MOST_MOMENTS = 60
_FEWEST_MOMENTS = 6
_LEAST_EACH = 4  # requests per moment, on average
_WIDE = (
    10.0  # longest to shortest: with a larger ratio, bins of equal width would put most values into the first
)
_ALIKE = 1.001


class Recorder:
    """Counts durations in buckets, so that a million of them takes a few kilobytes."""

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


class Bins(msgspec.Struct, frozen=True):
    """The number of values between each pair of edges. With `log`, edges have equal ratios, not distances."""

    edges: tuple[float, ...]
    counts: tuple[float, ...]
    log: bool = False


def build_bins(values: Summary) -> Bins | None:
    """A histogram of a latency; None without values.

    The number of bins is twice the cube root of the number of values (Rice's rule), and at most 40. Bins of a
    histogram consist of whole buckets.
    """
    if not values.n:
        return None
    return _bin_buckets(values.buckets) if values.buckets else _bin_values(values.values)


def _choose_bin_count(n: int) -> int:
    return min(math.ceil(2 * math.cbrt(n)), _MOST_BINS)


def _bin_values(values: tuple[float, ...]) -> Bins:
    low, high = values[0], values[-1]
    if high <= low * _ALIKE:
        return Bins((low * 0.99, max(high * 1.01, 1e-6)), (len(values),))
    many, log = _choose_bin_count(len(values)), low > 0 and high > low * _WIDE
    if log:
        edges = [low * (high / low) ** (n / many) for n in range(many)]
    else:
        edges = [low + (high - low) * n / many for n in range(many)]
    counts = [0] * many
    for value in values:
        counts[max(bisect_right(edges, value) - 1, 0)] += 1
    return Bins((*edges, high), tuple(counts), log)


def _bin_buckets(histogram: Histogram) -> Bins:
    first, last = min(histogram.counts), max(histogram.counts)
    width = math.ceil((last - first + 1) / _choose_bin_count(histogram.n))
    bins = math.ceil((last - first + 1) / width)
    counts = [0] * bins
    for bucket, count in histogram.counts.items():
        counts[(bucket - first) // width] += count
    edges = tuple(compute_bucket_start(first + n * width) for n in range(bins + 1))
    return Bins(edges, tuple(counts), log=True)


class Moments(msgspec.Struct, frozen=True):
    """Averages between each pair of times: requests in flight, and successful requests, failed requests and
    output tokens per second.

    A request's tokens are distributed evenly between its first and last chunk with content, because their
    times are not recorded. `tokens` is None if the server did not count them.
    """

    times: tuple[float, ...]
    in_flight: tuple[float, ...]
    ended: tuple[float, ...]
    failed: tuple[float, ...]
    tokens: tuple[float, ...] | None


def build_moments(point: LoadPoint) -> Moments | None:
    """The timeline of a measurement; None with too few requests."""
    many = min(len(point.samples) // _LEAST_EACH, _MOST_MOMENTS)
    if many < _FEWEST_MOMENTS or point.window_s <= 0:
        return None
    good, failed = point.good, [sample for sample in point.samples if not sample.ok]
    step = point.window_s / many

    def by_second(samples: Iterable[Sample], part: Callable[[Sample], TimedAmount]) -> tuple[float, ...]:
        return tuple(amount / step for amount in _distribute(map(part, samples), step, many))

    counted = all(sample.output_tokens is not None for sample in good)
    return Moments(
        times=tuple(step * n for n in range(many + 1)),
        in_flight=by_second(point.samples, _span_in_flight),
        ended=by_second(good, _span_end),
        failed=by_second(failed, _span_end),
        tokens=by_second(good, _span_generation) if counted else None,
    )


def _span_in_flight(sample: Sample) -> TimedAmount:
    """The time during which a request was in flight."""
    sent = sample.end_s if sample.sent_s is None else sample.sent_s
    return sample.start_s + sent, sample.start_s + sample.end_s, sample.end_s - sent


def _span_end(sample: Sample) -> TimedAmount:
    return sample.start_s + sample.end_s, sample.start_s + sample.end_s, 1


def _span_generation(sample: Sample) -> TimedAmount:
    first = sample.end_s if sample.first_s is None else sample.first_s
    last = first if sample.last_s is None else sample.last_s
    return sample.start_s + first, sample.start_s + last, sample.output_tokens or 0


def _distribute(parts: Iterable[TimedAmount], step: float, many: int) -> list[float]:
    """The sum of the amounts in each step, if each is distributed evenly over its time."""
    sums = [0.0] * many
    for start, end, amount in parts:
        for index, share in _split_by_step(start, end, step, many):
            sums[index] += amount * share
    return sums


def _split_by_step(start: float, end: float, step: float, many: int) -> Iterator[tuple[int, float]]:
    first, last = (min(max(int(time / step), 0), many - 1) for time in (start, end))
    if first == last or end <= start:
        yield first, 1.0
        return
    for index in range(first, last + 1):
        within = min(end, step * (index + 1)) - max(start, step * index)
        yield index, within / (end - start)
