"""Facts about a load test: its settings, requests and limits. All times are in seconds."""

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

    `start_s` is when it was due, from the start of the measurement. The other times are relative to
    `start_s`: when the request was handed to the kernel, the first and the last chunk with content, the end;
    None if that did not happen. `failure` is the class of its failure. Token counts are from the server's
    `usage`.
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
    late_s: float = 0.0  # delay between when it was due and when the client started it
    resent: bool = False  # first sent on a kept connection that the server had closed

    @property
    def ok(self) -> bool:
        return self.failure is None

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None if all arrived at once or tokens were not counted."""
        if self.first_s is None or self.last_s is None or not self.output_tokens:
            return None
        if self.output_tokens < 2 or self.chunks < 2:
            return None
        return (self.last_s - self.first_s) / (self.output_tokens - 1)


class Histogram(msgspec.Struct, frozen=True):
    """A histogram of durations with buckets 1 % wide, so values read from it are accurate to 0.5 %.

    `counts` is by bucket number: a duration of d seconds is in bucket floor(log(d / 1 microsecond) /
    log(1.01)), and anything under a microsecond in bucket -1. `longest_s` and `total_s` are exact.
    """

    counts: dict[int, int] = {}
    longest_s: float = 0.0
    total_s: float = 0.0

    @property
    def n(self) -> int:
        return sum(self.counts.values())


class FailureCount(msgspec.Struct, frozen=True):
    """The failures of one class: their number, and the message of the first."""

    kind: str
    count: int
    message: str


class ClientLoad(msgspec.Struct, frozen=True):
    """The load of the client itself: the lag of its event loop, and the share of a CPU core that it used."""

    lag: Histogram = Histogram()
    cpu: float = 0.0
    quickack: bool = True
    workers: int = 1


class CounterGrowth(msgspec.Struct, frozen=True):
    """The increase of a counter of the server, summed over its labels."""

    name: str
    grew: float


class LoadPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement at a given concurrency, or a given request rate per second.

    `window_s` is from the first request to the end of the last one. `stopped` is the number of requests that
    were cancelled when the run was interrupted; they count as neither good nor failed.
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
    """A load test: its settings, and the measurements at each load.

    `cold_s` is the duration of the very first request, which may include a cold start of the server. `path`
    is how the endpoint was reached, `notes` are deviations from the requested settings.
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
    """A limit on a metric: on the statistic `stat` of a latency in seconds, or on a rate, which has no
    `stat`.

    `bound` is a minimum for throughputs, and a maximum for everything else. `text` is the limit as the user
    wrote it, and `source` where it comes from.
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
    """A limit that could not be parsed, and why."""

    text: str
    reason: str
    source: str

    @property
    def name(self) -> str:
        return self.text.partition("=")[0].strip()

    def __str__(self) -> str:
        return f"{self.source}: {self.text}: {self.reason}"


class LoadLimits(LoadFact, frozen=True):
    """The limits of a load test, and those that could not be parsed (`misread`)."""

    items: tuple[LoadLimit, ...] = ()
    misread: tuple[InvalidLimit, ...] = ()

    def __iter__(self) -> Iterator[LoadLimit]:
        return iter(self.items)

    @property
    def descriptions(self) -> list[str]:
        """Each limit with its source."""
        return [f"{limit.text} ({limit.source})" for limit in self.items]

    def with_defaults(self, others: "LoadLimits") -> "LoadLimits":
        """These limits, and the others for metrics that have none here."""
        names = {limit.name for limit in self.items} | {limit.name for limit in self.misread}
        return LoadLimits(
            (*self.items, *(limit for limit in others.items if limit.name not in names)),
            (*self.misread, *(limit for limit in others.misread if limit.name not in names)),
        )


class LoadBaseline(LoadFact, frozen=True):
    """An earlier run to compare with; a metric may be worse by the fraction `tolerance`."""

    run: LoadRun
    tolerance: float = 0.1
    file: str = ""
