"""Metrics in Prometheus' text format: as much of it as is needed to compare two moments."""

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
    """The samples that a server gave at one moment."""

    samples: tuple[MetricSample, ...] = ()

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def has(self, name: str) -> bool:
        return any(True for _ in self.select(name))

    def select(self, name: str, **labels: str) -> Iterator[MetricSample]:
        """The samples of a name that have these labels, among others."""
        return (s for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def total(self, name: str, **labels: str) -> float:
        """Their sum; 0 where there are none, as of a counter that has not counted yet."""
        return sum(sample.value for sample in self.select(name, **labels))


def parse(text: str) -> Metrics:
    """The samples of a text; a line that is none is passed over, as a scraper of one family would."""
    return Metrics(tuple(_parse_samples(text)))


def _parse_samples(text: str) -> Iterator[MetricSample]:
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found is None:
            continue
        name, labels, value = found.groups()
        try:
            yield MetricSample(name, {k: _unescape(v) for k, v in _LABEL.findall(labels or "")}, float(value))
        except ValueError:
            continue


def _unescape(value: str) -> str:
    return _ESCAPE.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), value)
