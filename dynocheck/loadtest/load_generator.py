"""Sends the requests of one measurement and records the results.

The closed loop keeps a number of requests in flight: the next one starts when one ends. The open loop starts
each request when it is due, regardless of the others.
"""

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

from dynocheck.facts import ClientLoad, FailureCount, LoadPoint, Sample
from dynocheck.loadtest.stats.histograms import Recorder
from dynocheck.serving import Exchange

_TICK_S = 0.005
_MOST_AT_ONCE = 2000  # requests in flight in an open loop; more start late, and are recorded as late

Ask = Callable[[int, float | None], Awaitable[Exchange]]
"""Sends the request with this number, due at this `perf_counter` time, or now if None."""


@dataclass
class LoadRecording:
    """The results of a measurement while it runs."""

    started: float
    under_way: int = 0
    samples: list[Sample] = field(default_factory=list)
    gaps: Recorder = field(default_factory=Recorder)
    lag: Recorder = field(default_factory=Recorder)
    failures: dict[str, tuple[int, str]] = field(default_factory=dict)
    quickack: bool = True
    ended: float = 0.0
    cpu: float = 0.0

    def add(self, exchange: Exchange) -> None:
        """Record one request, without keeping its exchange."""
        times = exchange.times
        self.ended = max(self.ended, times.ended or 0.0)
        self.quickack = self.quickack and exchange.quickack
        self.samples.append(self._make_sample(exchange))
        if exchange.failure is not None:
            kind = str(exchange.failure).partition(":")[0]
            number, message = self.failures.get(kind, (0, exchange.failure.message))
            self.failures[kind] = (number + 1, message)
        else:
            for before, after in zip(times.chunks, times.chunks[1:], strict=False):
                self.gaps.add(after - before)

    def _make_sample(self, exchange: Exchange) -> Sample:
        times, usage = exchange.times, exchange.usage
        due = times.scheduled

        def since(moment: float | None) -> float | None:
            return None if moment is None else round(moment - due, 7)

        return Sample(
            start_s=round(due - self.started, 7),
            sent_s=since(times.sent),
            first_s=since(times.first_content),
            last_s=since(times.last_content),
            end_s=since(times.ended) or 0.0,
            chunks=len(times.chunks),
            input_tokens=usage.prompt if usage else None,
            output_tokens=usage.completion if usage else None,
            cached_tokens=usage.cached if usage else None,
            failure=str(exchange.failure).partition(":")[0] if exchange.failure else None,
            fresh=exchange.fresh,
            late_s=round(times.started - due, 7),
            resent=exchange.resent,
        )

    def make_point(self, concurrency: int | None, rate: float | None) -> LoadPoint:
        """The finished measurement."""
        return LoadPoint(
            concurrency=concurrency,
            rate=rate,
            window_s=max(self.ended - self.started, 0.0),
            samples=tuple(self.samples),
            gaps=self.gaps.histogram(),
            failures=tuple(FailureCount(kind, *failure) for kind, failure in sorted(self.failures.items())),
            stopped=self.under_way,
            client=ClientLoad(self.lag.histogram(), self.cpu, self.quickack),
        )


@asynccontextmanager
async def start_recording(started: float | None = None) -> AsyncIterator[LoadRecording]:
    """Record from this `perf_counter` time, or from now on, and measure the event loop's lag meanwhile."""
    recording = LoadRecording(perf_counter() if started is None else started)
    cpu_before = time.process_time()
    watch = asyncio.create_task(_watch_lag(recording.lag))
    try:
        with _collect_garbage():
            yield recording
    finally:
        watch.cancel()
        recording.ended = max(recording.ended, recording.started)
        if (wall := perf_counter() - recording.started) > 0:
            recording.cpu = round((time.process_time() - cpu_before) / wall, 4)


@contextmanager
def _collect_garbage() -> Iterator[None]:
    """Enable garbage collection, which the command line disables, because each request leaves cycles that
    would fill the memory of a long run. Existing objects are frozen, so that collections are fast.
    """
    before = gc.isenabled()
    gc.freeze()
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        if not before:
            gc.disable()


async def _watch_lag(lag: Recorder) -> None:
    """Record how late timers fire, which is how late data that arrives then is noticed.

    Up to 1 ms of it comes from epoll, which waits whole milliseconds; so the lag is overestimated.
    """
    due = perf_counter() + _TICK_S
    while True:
        await asyncio.sleep(max(due - perf_counter(), 0.0))
        now = perf_counter()
        while due <= now:  # a long delay affects everything that arrives during it
            lag.add(now - due)
            due += _TICK_S


async def run_closed_loop(
    ask: Ask, record: LoadRecording, numbers: Iterator[int], concurrency: int, until: float | None
) -> None:
    """Keep `concurrency` requests in flight until the numbers run out or the time `until` is reached."""

    async def stream() -> None:
        for number in numbers:
            if until is not None and perf_counter() >= until:
                return
            await _send_one(ask, record, number, None)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(stream())


async def run_open_loop(ask: Ask, record: LoadRecording, due: Iterator[tuple[int, float]]) -> None:
    """Start each request when it is due, in seconds from the start of the recording."""
    room = asyncio.Semaphore(_MOST_AT_ONCE)

    async def one(number: int, when: float) -> None:
        try:
            await _send_one(ask, record, number, when)
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for number, after in due:
            when = record.started + after
            if (early := when - perf_counter()) > 0:
                await asyncio.sleep(early)
            await room.acquire()
            group.create_task(one(number, when))


async def _send_one(ask: Ask, record: LoadRecording, number: int, due: float | None) -> None:
    record.under_way += 1
    exchange = await ask(number, due)
    record.under_way -= 1
    record.add(exchange)


def schedule_arrivals(
    rate: float, pattern: str, seed: int, most: int | None, until_s: float | None
) -> Iterator[float]:
    """When the requests of an open loop are due, in seconds from its start.

    :param pattern: `poisson`, like independent users, or `constant`, evenly spaced.
    """
    generator = random.Random(seed)  # noqa: S311  (not for cryptography)
    after = 0.0
    for number in count():
        if (most is not None and number >= most) or (until_s is not None and after >= until_s):
            return
        yield after
        after += generator.expovariate(rate) if pattern == "poisson" else 1 / rate
