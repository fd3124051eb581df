"""Computes the metrics of a load test.

`ttft`: from the time when a request was due to its first chunk with content. `tpot`: from the first to the
last such chunk, divided by the output tokens minus one, as counted by the server. `chunk_gap`: between
consecutive chunks with content. `e2e`: from the time when a request was due to its last chunk with content.
Failed requests have none of these, and are counted separately.

A percentile is interpolated between the two nearest values (type 7 of Hyndman and Fan, as in numpy); of
chunk_gap it is read from buckets, within 0.5 %. The p-th percentile requires 1 / (1 - p) values, p99 thus
100: with fewer it would be the maximum.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from dynocheck.facts import (
    ERROR_RATE,
    LATENCIES,
    REQUEST_LATENCIES,
    Histogram,
    LoadLimit,
    LoadPoint,
    Sample,
)

_UNIT_S = 1e-6
_RATIO = math.log(1.01)
_LAG_S = 0.002
_LAG_SHARE = 0.05
_BUSY = 0.9


def find_bucket(duration_s: float) -> int:
    """The number of a duration's bucket."""
    return int(math.log(duration_s / _UNIT_S) / _RATIO) if duration_s >= _UNIT_S else -1


def compute_bucket_start(bucket: int) -> float:
    """The shortest duration in a bucket, in seconds, as if bucket -1 were 1 % wide like the others."""
    return _UNIT_S * math.exp(bucket * _RATIO)


def compute_bucket_middle(bucket: int) -> float:
    """The duration that a bucket represents, in seconds."""
    return _UNIT_S * math.exp((bucket + 0.5) * _RATIO) if bucket >= 0 else 0.0


def merge_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of these histograms."""
    counts: Counter[int] = Counter()
    longest = total = 0.0
    for histogram in histograms:
        counts.update(histogram.counts)
        longest, total = max(longest, histogram.longest_s), total + histogram.total_s
    return Histogram(dict(sorted(counts.items())), longest, total)


class Summary(msgspec.Struct, frozen=True):
    """A metric's values, sorted, in seconds; or their histogram."""

    values: tuple[float, ...] = ()
    buckets: Histogram | None = None

    @property
    def n(self) -> int:
        return self.buckets.n if self.buckets else len(self.values)

    @property
    def mean(self) -> float | None:
        total = self.buckets.total_s if self.buckets else math.fsum(self.values)
        return total / self.n if self.n else None

    @property
    def longest(self) -> float | None:
        if not self.n:
            return None
        return self.buckets.longest_s if self.buckets else self.values[-1]

    def percentile(self, percent: float) -> float | None:
        """The percentile; None with too few values."""
        if self.n < count_required(percent):
            return None
        return (
            _find_bucket_percentile(self.buckets, percent)
            if self.buckets
            else quantile(self.values, percent / 100)
        )

    def stat(self, name: str) -> float | None:
        """A statistic by name: mean, max, or p with a percentage."""
        match name:
            case "mean":
                return self.mean
            case "max":
                return self.longest
        return self.percentile(float(name[1:]))


def count_required(percent: float) -> int:
    """The number of values that a percentile requires."""
    return math.ceil(round(100 / (100 - percent), 6))


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile of sorted values."""
    position = share * (len(values) - 1)
    below = int(position)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (position - below)


def _find_bucket_percentile(histogram: Histogram, percent: float) -> float:
    position, seen = percent / 100 * (histogram.n - 1), 0
    for bucket, count in sorted(histogram.counts.items()):
        seen += count
        if seen > position:
            return min(compute_bucket_middle(bucket), histogram.longest_s)
    return histogram.longest_s


def summarize_latency(point: LoadPoint, metric: str) -> Summary:
    """The values of one of the four latencies."""
    if metric == "chunk_gap":
        return Summary(buckets=point.gaps)
    return summarize_values(
        value for sample in point.good if (value := read_latency(sample, metric)) is not None
    )


def read_latency(sample: Sample, metric: str) -> float | None:
    """One request's ttft, tpot or e2e."""
    return {"ttft": sample.first_s, "tpot": sample.tpot_s, "e2e": sample.last_s}[metric]


def summarize_values(values: Iterable[float]) -> Summary:
    """The summary of values in any order."""
    return Summary(tuple(sorted(values)))


def compute_error_rate(point: LoadPoint) -> float | None:
    """The share of requests that failed."""
    return point.failed / len(point.samples) if point.samples else None


def compute_rate(point: LoadPoint, metric: str, limits: Iterable[LoadLimit] = ()) -> float | None:
    """A throughput per second: successful requests, their output tokens, or requests within all limits.

    The time includes the beginning and end of the run, so it is less than the server's maximum throughput.
    """
    if point.window_s <= 0:
        return None
    match metric:
        case "output_tokens_per_s":
            counted = [sample.output_tokens for sample in point.good]
            known = [tokens for tokens in counted if tokens is not None]
            return sum(known) / point.window_s if len(known) == len(counted) else None
        case "requests_per_s":
            return len(point.good) / point.window_s
    bounds = [limit for limit in limits if limit.metric in REQUEST_LATENCIES]
    return sum(_meets_limits(sample, bounds) for sample in point.good) / point.window_s


def _meets_limits(sample: Sample, bounds: Iterable[LoadLimit]) -> bool:
    """Whether a request is within all limits. A latency that it does not have, as tpot of one token, is."""
    values = ((read_latency(sample, bound.metric), bound.bound) for bound in bounds)
    return all(value is None or value <= bound for value, bound in values)


def explain_client_bottleneck(point: LoadPoint) -> str | None:
    """Why the client was the bottleneck of all metrics; None if it was not."""
    if any(failures.kind == "client" for failures in point.failures):
        return "it had no descriptors, ports or memory left for more connections"
    if point.client.cpu > _BUSY:
        return f"it used {point.client.cpu:.0%} of a core"
    return None


def explain_client_latency(point: LoadPoint, metric: str) -> str | None:
    """Why the client influenced a latency; None if it did not.

    It did if the p99 of its event loop's lag was more than 2 ms and more than 5 % of the measured time: the
    median ttft, chunk_gap or e2e, or the time that tpot divides.
    """
    if (reason := explain_client_bottleneck(point)) is not None:
        return reason
    lag = _find_p99(Summary(buckets=point.client.lag))
    late = _find_p99(summarize_values(sample.late_s for sample in point.samples))
    bearable = max(_LAG_S, _LAG_SHARE * (_summarize_measured(point, metric).percentile(50) or 0.0))
    if lag > bearable:
        return f"its event loop was {lag * 1000:.1f} ms late, more than {bearable * 1000:.1f} ms"
    if late > bearable and metric != "chunk_gap":
        return f"it began requests {late * 1000:.1f} ms late, more than {bearable * 1000:.1f} ms"
    return None


def explain_client_influence(point: LoadPoint, metric: str, limits: Iterable[LoadLimit] = ()) -> str | None:
    """Why the client influenced a metric; None if it did not.

    It influenced goodput if it influenced one of the limited latencies. It never influences the error rate.
    """
    if metric == ERROR_RATE:
        return None
    if metric in LATENCIES:
        return explain_client_latency(point, metric)
    latencies = [limit.metric for limit in limits if limit.metric in REQUEST_LATENCIES]
    reasons = (explain_client_latency(point, latency) for latency in latencies if metric == "goodput")
    return next(filter(None, reasons), explain_client_bottleneck(point))


def _find_p99(values: Summary) -> float:
    """The 99th percentile, or the maximum with too few values."""
    worst = values.percentile(99)
    return (values.longest or 0.0) if worst is None else worst


def _summarize_measured(point: LoadPoint, metric: str) -> Summary:
    if metric != "tpot":
        return summarize_latency(point, metric)
    spans = (s.last_s - s.first_s for s in point.good if s.tpot_s and s.last_s and s.first_s)
    return summarize_values(spans)
