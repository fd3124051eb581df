"""The metrics of a load test, from what was measured.

`ttft`: from when a request was due to its first chunk with content. `tpot`: from the first to the last such
chunk, by the output tokens less one, as the server counted them. `chunk_gap`: between one chunk with content
and the next. `e2e`: from when a request was due to its last chunk with content. Failed requests have none of
these, and are counted apart.

A percentile lies between the two nearest values, in proportion (type 7 of Hyndman and Fan, as numpy has it);
that of a chunk_gap is read from buckets, within 0.5 %. The p-th is given from 1 / (1 - p) values on, so p99
from 100: with fewer it would be the longest of them under another name.
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
    """The number of the bucket that holds a duration."""
    return int(math.log(duration_s / _UNIT_S) / _RATIO) if duration_s >= _UNIT_S else -1


def compute_bucket_start(bucket: int) -> float:
    """The shortest duration that a bucket holds in seconds, as if bucket -1 were 1 % wide like the others."""
    return _UNIT_S * math.exp(bucket * _RATIO)


def compute_bucket_middle(bucket: int) -> float:
    """What a bucket stands for, in seconds."""
    return _UNIT_S * math.exp((bucket + 0.5) * _RATIO) if bucket >= 0 else 0.0


def merge_histograms(histograms: Iterable[Histogram]) -> Histogram:
    """All that they hold, in one."""
    counts: Counter[int] = Counter()
    longest = total = 0.0
    for each in histograms:
        counts.update(each.counts)
        longest, total = max(longest, each.longest_s), total + each.total_s
    return Histogram(dict(sorted(counts.items())), longest, total)


class Summary(msgspec.Struct, frozen=True):
    """A metric's values, sorted, in seconds; or the buckets that hold them."""

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
        """The value, or none where there are too few to tell."""
        if self.n < count_required(percent):
            return None
        return (
            _find_bucket_percentile(self.buckets, percent)
            if self.buckets
            else quantile(self.values, percent / 100)
        )

    def stat(self, name: str) -> float | None:
        """By name: mean, max, or p and a percentage."""
        match name:
            case "mean":
                return self.mean
            case "max":
                return self.longest
        return self.percentile(float(name[1:]))


def count_required(percent: float) -> int:
    """How many values a percentile needs."""
    return math.ceil(round(100 / (100 - percent), 6))


def quantile(values: Sequence[float], share: float) -> float:
    """The value of sorted ones below which this share of them lies."""
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def _find_bucket_percentile(histogram: Histogram, percent: float) -> float:
    place, seen = percent / 100 * (histogram.n - 1), 0
    for bucket, many in sorted(histogram.counts.items()):
        seen += many
        if seen > place:
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
    """A throughput: good requests, their output tokens, or requests within all limits, by the whole window.

    The window holds the ramp and the tail of the run, so this is what was observed, not what can be borne.
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
    """Whether a request keeps each bound itself. One token has no time per token to be too long."""
    values = ((read_latency(sample, bound.metric), bound.bound) for bound in bounds)
    return all(value is None or value <= bound for value, bound in values)


def explain_client_bottleneck(point: LoadPoint) -> str | None:
    """Why the client was the bottleneck of everything, if it was: it had nothing left to work with."""
    if any(failures.kind == "client" for failures in point.failures):
        return "it had no descriptors, ports or memory left for more connections"
    if point.client.cpu > _BUSY:
        return f"it used {point.client.cpu:.0%} of a core"
    return None


def explain_client_latency(point: LoadPoint, metric: str) -> str | None:
    """Why a latency is the client's as much as the server's, if it is.

    It is when the client's event loop was late, once in a hundred times, by more than 2 ms and more than a
    twentieth of what is measured: of the median ttft, chunk_gap or e2e, or of the time that tpot divides.
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
    """Why a metric of any kind is the client's as much as the server's, if it is.

    Goodput is where a latency is by whose limit it counts. Whether requests failed can always be told.
    """
    if metric == ERROR_RATE:
        return None
    if metric in LATENCIES:
        return explain_client_latency(point, metric)
    counted = [limit.metric for limit in limits if limit.metric in REQUEST_LATENCIES and metric == "goodput"]
    return next(
        filter(None, (explain_client_latency(point, each) for each in counted)),
        explain_client_bottleneck(point),
    )


def _find_p99(values: Summary) -> float:
    """What one in a hundred passes; of fewer than that the longest."""
    worst = values.percentile(99)
    return (values.longest or 0.0) if worst is None else worst


def _summarize_measured(point: LoadPoint, metric: str) -> Summary:
    if metric != "tpot":
        return summarize_latency(point, metric)
    spans = (s.last_s - s.first_s for s in point.good if s.tpot_s and s.last_s and s.first_s)
    return summarize_values(spans)
