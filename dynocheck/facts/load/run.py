"""Facts about a load test: what was sent, what came back, and when. All times are in seconds."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from dynocheck.facts.base import Fact

REQUEST_LATENCIES = ("ttft", "tpot", "e2e")
LATENCIES = ("ttft", "tpot", "chunk_gap", "e2e")
RATES = ("output_tokens_per_s", "requests_per_s", "goodput")
ERROR_RATE = "error_rate"


class LoadFact(Fact, frozen=True):
    """A fact about a load test."""


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """One request of a load test.

    `start_s` is when it was due, from the start of the measurement; the other times count from then: when
    the request was handed to the kernel, the first and the last chunk with content, the end. What did not
    happen is None. `failure` is the class of its failure. Tokens are those of the server's usage.
    """

    start_s: float
    sent_s: float | None = None
    first_s: float | None = None
    last_s: float | None = None
    end_s: float = 0.0
    chunks: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    failure: str | None = None
    fresh: bool = True
    late_s: float = 0.0  # how long after it was due the client began with it

    @property
    def ok(self) -> bool:
        return self.failure is None

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; none where all came at once or nobody counted."""
        if self.first_s is None or self.last_s is None or not self.output_tokens:
            return None
        if self.output_tokens < 2 or self.chunks < 2:
            return None
        return (self.last_s - self.first_s) / (self.output_tokens - 1)


class Histogram(msgspec.Struct, frozen=True):
    """Durations by size: the bounds of a bucket are 1 % apart, so what is read from it is within 0.5 %.

    `counts` is by bucket number: a duration of d seconds is in bucket floor(log(d / 1 microsecond) /
    log(1.01)), and all shorter ones are in bucket -1. The longest is kept as it is.
    """

    counts: dict[int, int] = {}
    longest_s: float = 0.0
    total_s: float = 0.0

    @property
    def n(self) -> int:
        return sum(self.counts.values())


class FailureCount(msgspec.Struct, frozen=True):
    """The failures of one class: how many, and what the first of them said."""

    kind: str
    count: int
    message: str


class ClientLoad(msgspec.Struct, frozen=True):
    """How the client itself fared: how late its event loop was, and the share of a core that it used."""

    lag: Histogram = Histogram()
    cpu: float = 0.0
    quickack: bool = True
    workers: int = 1


class CounterGrowth(msgspec.Struct, frozen=True):
    """By how much a counter of the server grew, summed over its labels."""

    name: str
    grew: float


class LoadPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement under one load: so many requests at a time, or so many a second.

    `window_s` is from the first request to the end of the last one. `stopped` counts the requests that were
    broken off with an interrupted run: neither good nor failed.
    """

    concurrency: int | None = None
    rate: float | None = None
    window_s: float
    samples: tuple[Sample, ...] = ()
    gaps: Histogram = Histogram()
    failures: tuple[FailureCount, ...] = ()
    stopped: int = 0
    client: ClientLoad = ClientLoad()
    counters: tuple[CounterGrowth, ...] = ()

    @property
    def good(self) -> tuple[Sample, ...]:
        return tuple(sample for sample in self.samples if sample.ok)

    @property
    def failed(self) -> int:
        return len(self.samples) - len(self.good)

    @property
    def load(self) -> str:
        """The load in words."""
        return f"{self.concurrency} at a time" if self.rate is None else f"{self.rate:g} a second"


class LoadRun(LoadFact, frozen=True, kw_only=True):
    """A load test: what was asked for, and what was measured at each load.

    `cold_s` is how long the first request of all took, which may have had to wake the server. `path` says
    by which way the endpoint was reached, `notes` what was done otherwise than asked for.
    """

    url: str
    model: str
    mode: Literal["closed", "open", "trace"]
    arrivals: Literal["poisson", "constant"] | None = None
    api: Literal["chat", "completions"] = "chat"
    input_tokens: int | None = None
    output_tokens: int | None = None
    seed: int = 0
    prompts: str | None = None
    warmup: int = 0
    cold_s: float | None = None
    path: str = "direct"
    notes: tuple[str, ...] = ()
    points: tuple[LoadPoint, ...] = ()
    interrupted: bool = False


class LoadLimit(msgspec.Struct, frozen=True):
    """A bound that a metric must keep: `stat` of a latency in seconds, or a rate that has none.

    A bound on a throughput is its least value, every other one its greatest. `text` is as it was given, and
    `source` says who gave it.
    """

    metric: str
    stat: str | None
    bound: float
    text: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.metric}.{self.stat}" if self.stat else self.metric


class InvalidLimit(msgspec.Struct, frozen=True):
    """What was given as a limit and means none, and why."""

    text: str
    reason: str
    source: str

    @property
    def name(self) -> str:
        return self.text.partition("=")[0].strip()

    def __str__(self) -> str:
        return f"{self.source}: {self.text}: {self.reason}"


class LoadLimits(LoadFact, frozen=True):
    """The limits that a load test is held to, and what was to be one and cannot be understood."""

    items: tuple[LoadLimit, ...] = ()
    misread: tuple[InvalidLimit, ...] = ()

    def __iter__(self) -> Iterator[LoadLimit]:
        return iter(self.items)

    @property
    def descriptions(self) -> list[str]:
        """Each and who gave it."""
        return [f"{each.text} ({each.source})" for each in self.items]

    def with_defaults(self, others: "LoadLimits") -> "LoadLimits":
        """These, and those of the others on what these do not name."""
        named = {each.name for each in self.items} | {each.name for each in self.misread}
        return LoadLimits(
            (*self.items, *(each for each in others.items if each.name not in named)),
            (*self.misread, *(each for each in others.misread if each.name not in named)),
        )


class LoadBaseline(LoadFact, frozen=True):
    """An earlier run to compare with; a metric may be worse by the share `tolerance`."""

    run: LoadRun
    tolerance: float = 0.1
    file: str = ""
