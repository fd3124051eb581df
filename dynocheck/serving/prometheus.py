"""Parses as much of the Prometheus text format as is needed to compare samples at two times."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SAMPLE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t]*")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True)
class MetricSample:
    name: str
    labels: dict[str, str]
    value: float


@dataclass(frozen=True)
class Metrics:
    """The samples of one scrape."""

    samples: tuple[MetricSample, ...] = ()

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def has(self, name: str) -> bool:
        return any(True for _ in self.select(name))

    def select(self, name: str, **labels: str) -> Iterator[MetricSample]:
        """The samples of this name that have at least these labels."""
        return (s for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def total(self, name: str, **labels: str) -> float:
        """The sum of the selected samples; 0 without samples, like a counter that has not counted yet."""
        return sum(sample.value for sample in self.select(name, **labels))


def parse(text: str) -> Metrics:
    """The samples in a text. Comments and malformed lines are skipped."""
    return Metrics(tuple(_parse_samples(text)))


def _parse_samples(text: str) -> Iterator[MetricSample]:
    for line in text.splitlines():
        match = _SAMPLE.fullmatch(line)
        if match is None:
            continue
        name, labels, value = match.groups()
        try:
            yield MetricSample(name, {k: _unescape(v) for k, v in _LABEL.findall(labels or "")}, float(value))
        except ValueError:
            continue


def _unescape(value: str) -> str:
    return _ESCAPE.sub(lambda match: {"n": "\n"}.get(match[1], match[1]), value)
