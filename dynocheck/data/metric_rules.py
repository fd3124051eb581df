"""What metrics of servers mean: the rows of metric_rules.json, and what a page comes to by them."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple

import msgspec

from dynocheck.data import read_table
from dynocheck.facts import MetricsPage, MetricValue

Topic = Literal["load", "requests", "routing", "gpu"]
_QUANTILE = 0.99


class MetricRule(msgspec.Struct, frozen=True, kw_only=True):
    """A metric, the value up to which it is healthy (`limit`), what more than that means and what to do.

    `metric` are its names, of which a release exports one. `kind` is what is compared with the limit: gauge,
    the highest sample; least, the lowest, which may not be below it; share, the sum over that of those in
    `of`; growth, the sum; none, the sum, which may not be 0 when that of `of` is not; p99, the quantile of a
    histogram. `labels` are the values that a sample's labels must have, where a missing label is empty.
    `at_least` is the number of `of`, or of observations, below which nothing is judged. `source` is where the
    metric is written, and the limit comes from.
    """

    id: str
    topic: Topic
    kind: Literal["gauge", "least", "share", "growth", "none", "p99"]
    metric: tuple[str, ...]
    limit: float
    means: str
    fix: str
    source: str
    unit: str = ""
    of: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = {}
    at_least: float = 0.0

    def format(self, value: float) -> str:
        """A value in the unit of the rule."""
        if math.isinf(value):
            return "more than its highest bucket"
        shown = f"{value:.0%}" if self.unit == "%" else f"{value:g} {self.unit}".rstrip()
        return f"{value:.1%}" if self.unit == "%" and 0 < value < 0.1 else shown


class Measurement(NamedTuple):
    """What a page comes to by a rule."""

    rule: MetricRule
    value: float

    @property
    def is_healthy(self) -> bool:
        if self.rule.kind == "least":
            return self.value >= self.rule.limit
        return self.value > 0 if self.rule.kind == "none" else self.value <= self.rule.limit

    @property
    def healthy_range(self) -> str:
        """The values that are healthy."""
        if self.rule.kind == "none":
            return "more than 0"
        bound = "at least" if self.rule.kind == "least" else "at most"
        return f"{bound} {self.rule.format(self.rule.limit)}"


@cache
def load_metric_rules() -> tuple[MetricRule, ...]:
    """Every rule."""
    return msgspec.json.decode(read_table("metric_rules.json"), type=tuple[MetricRule, ...])


def measure_page(page: MetricsPage) -> list[Measurement]:
    """What a page comes to by each rule whose metric it has."""
    now, before = _index(page.samples), _index(page.earlier or ())
    found = ((rule, _measure(rule, now, before)) for rule in load_metric_rules())
    return [Measurement(rule, value) for rule, value in found if value is not None]


_Index = Mapping[str, Sequence[MetricValue]]


def _index(samples: Sequence[MetricValue]) -> _Index:
    """The samples by name; some collectors write _ for the colon in names."""
    by_name: dict[str, list[MetricValue]] = defaultdict(list)
    for sample in samples:
        if not math.isnan(sample.value):
            by_name[sample.name.replace(":", "_")].append(sample)
    return by_name


def _measure(rule: MetricRule, now: _Index, before: _Index) -> float | None:
    """The value of a rule; None if its metric is missing, or too little was observed."""
    if rule.kind == "p99":
        return _compute_quantile(rule, now, before)
    values = [sample.value for sample in _filter(rule.metric, now, rule.labels)]
    if rule.kind in ("gauge", "least"):
        return (min if rule.kind == "least" else max)(values, default=None)
    grown = _sum_growth(rule.metric, now, before, rule.labels)
    total = _sum_growth(rule.of, now, before, {})
    if rule.kind == "growth":
        return grown
    if not total or total < rule.at_least:
        return None
    return grown or 0.0 if rule.kind == "none" else None if grown is None else grown / total


def _filter(
    names: Sequence[str], samples: _Index, labels: Mapping[str, Sequence[str]]
) -> Iterator[MetricValue]:
    """The samples of the first of these names that there is, with one of the values of each label."""
    found = next((samples[each] for name in names if (each := name.replace(":", "_")) in samples), ())
    return (s for s in found if all(s.labels.get(label, "") in values for label, values in labels.items()))


def _sum_growth(
    names: Sequence[str], now: _Index, before: _Index, labels: Mapping[str, Sequence[str]]
) -> float | None:
    """How much these counters have grown, each since it was read before, or since it began to count.

    Of several names those of one metric are alternatives; of different metrics they add up.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[name.removesuffix("_total")].append(name)
    if not any(name.replace(":", "_") in now for name in names):
        return None
    total = 0.0
    for alike in groups.values():
        later, earlier = (sum(s.value for s in _filter(alike, each, labels)) for each in (now, before))
        total += later - earlier if later >= earlier else later  # a server that restarted counts anew
    return total


def _compute_quantile(rule: MetricRule, now: _Index, before: _Index) -> float | None:
    """The upper bound of the bucket in which the quantile lies."""
    names = [f"{name}_bucket" for name in rule.metric]
    later, earlier = (_sum_buckets(names, each) for each in (now, before))
    if any(later.get(bound, 0.0) < count for bound, count in earlier.items()):
        earlier = {}
    counts = {bound: count - earlier.get(bound, 0.0) for bound, count in sorted(later.items())}
    total = counts.get(math.inf, 0.0)
    if total < max(rule.at_least, 1):
        return None
    return next(bound for bound, count in counts.items() if count >= _QUANTILE * total)


def _sum_buckets(names: Sequence[str], samples: _Index) -> dict[float, float]:
    sums: dict[float, float] = defaultdict(float)
    for sample in _filter(names, samples, {}):
        sums[_parse_bound(sample.labels.get("le", ""))] += sample.value
    return dict(sums)


def _parse_bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf
