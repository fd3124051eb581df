"""Runs a load test from its plan: negotiates with the server, warms up, and measures at each load."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from itertools import count, islice
from time import perf_counter
from typing import Literal

import msgspec

from dynocheck.facts import LoadPoint, LoadRun
from dynocheck.loadtest import prompts as prompting
from dynocheck.loadtest.load_generator import (
    LoadRecording,
    run_closed_loop,
    run_open_loop,
    schedule_arrivals,
    start_recording,
)
from dynocheck.loadtest.negotiation import RequestProfile, can_continue, find_model, negotiate
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.progress import Progress, report_progress
from dynocheck.loadtest.server_metrics import compute_growth, fetch_counters
from dynocheck.serving import Client, Exchange

_DESCRIPTORS = 1 << 16
_APART = 10_000_000  # prompt numbers reserved for each measurement


@dataclass(frozen=True)
class Share:
    """A worker's share of a load test: the requests whose number modulo `of` is `index`.

    `gate` is awaited between warm-up and measurement, and returns the common start in seconds of
    `perf_counter`.
    """

    index: int = 0
    of: int = 1
    gate: Callable[[], Awaitable[float]] | None = None

    def concurrency(self, whole: int) -> int:
        return whole // self.of + (self.index < whole % self.of)


async def run(
    plan: LoadPlan,
    share: Share | None = None,
    progress: Progress | None = None,
    client: Client | None = None,
) -> LoadRun:
    """Run a load test, or a share of it. If cancelled, return what has been measured so far.

    :param client: client that sends the requests (default: one for the plan's endpoint).
    :raises UsageError: the prompts cannot be read.
    :raises Unavailable: no model is named, and not exactly one is served.
    """
    _raise_descriptor_limit()
    return await _LoadTest(plan, share or Share(), progress or (lambda _: None)).run(
        client or Client(plan.endpoint)
    )


def _raise_descriptor_limit() -> None:
    """Raise the limit on open files, and so on connections, to what the system allows."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        raised = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
        if soft < raised:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))


class _LoadTest:
    def __init__(self, plan: LoadPlan, share: Share, progress: Progress) -> None:
        self.plan, self.share, self.progress = plan, share, progress
        self.traced = False
        self.prompts = prompting.generate_prompts(plan.seed, plan.input_tokens)
        self.most = plan.requests
        self.notes: tuple[str, ...] = ()
        if plan.prompts is not None:
            self._read(plan.prompts)
        self.points: list[LoadPoint] = []
        self.interrupted = False
        self.cold_s: float | None = None
        self.model = plan.model or ""

    def _read(self, file: str) -> None:
        self.prompts, available, traced = prompting.read(file, self.plan.seed)
        self.traced = traced and self.plan.rate is None
        if self.traced:
            self.most = min(self.most or available, available)
        elif self.most is None or self.most > available:
            self.notes = (f"{file} has {available} prompts, which are repeated: prefix caching may help",)

    @property
    def mode(self) -> Literal["closed", "open", "trace"]:
        if self.traced:
            return "trace"
        return "closed" if self.plan.rate is None else "open"

    async def run(self, client: Client) -> LoadRun:
        async with client:
            self.model = await find_model(client, self.plan)
            try:
                await self._measure(client)
            except asyncio.CancelledError:
                self.interrupted = True
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()
        plan = self.plan
        return LoadRun(
            url=plan.endpoint.url,
            model=self.model,
            mode=self.mode,
            arrivals=plan.arrivals if self.mode == "open" else None,
            api="chat" if plan.chat else "completions",
            input_tokens=None if plan.prompts else plan.input_tokens,
            output_tokens=plan.output_tokens,
            seed=plan.seed,
            prompts=plan.prompts,
            warmup=plan.warmup,
            cold_s=self.cold_s,
            path=plan.path,
            notes=self.notes,
            points=tuple(self.points),
            interrupted=self.interrupted,
        )

    async def _measure(self, client: Client) -> None:
        begin = perf_counter()
        async with report_progress(self.progress, lambda: "the first answer"):
            number = -1 - self.share.index
            profile, first = await negotiate(client, self.plan, self.model, self.prompts, number)
        self.cold_s = round((first.times.ended or begin) - begin, 6)
        self.notes += profile.notes
        if not can_continue(first):
            self._record_failed_start(first)
            return
        loads: tuple[int | None, ...] = self.plan.concurrencies if self.mode == "closed" else (None,)
        for number, concurrency in enumerate(loads):
            await self._measure_point(client, profile, number, concurrency)

    def _record_failed_start(self, first: Exchange) -> None:
        """Record a first request that failed in a way that all others would too; those are not sent."""
        record = LoadRecording(started=first.times.scheduled)
        record.add(first)
        closed = self.mode == "closed"
        self.points.append(
            record.make_point(1 if closed else None, None if closed else self.plan.rate or 0.0)
        )
        self.notes += ("the first request failed, so no other was sent",)

    async def _measure_point(
        self, client: Client, profile: RequestProfile, number: int, concurrency: int | None
    ) -> None:
        own_concurrency = self.share.concurrency(concurrency) if concurrency else 4

        async def ask(prompt_number: int, due: float | None) -> Exchange:
            prompt = self.prompts(prompt_number, profile.per_word)
            return await client.complete(profile.make_completion(prompt, self.plan), scheduled=due)

        await self._warm_up(ask, number, own_concurrency)
        before = await self._fetch_counters(client)
        if concurrency is not None:
            await client.prepare(own_concurrency)
        started = await self.share.gate() if self.share.gate else perf_counter()
        if (early := started - perf_counter()) > 0:
            await asyncio.sleep(early)
        record: LoadRecording | None = None
        try:
            async with start_recording(started) as record, self._show_progress(record, number):
                if concurrency is not None:
                    until = started + self.plan.duration_s if self.plan.duration_s else None
                    await run_closed_loop(ask, record, self._list_numbers(number), own_concurrency, until)
                else:
                    await run_open_loop(ask, record, self._schedule_requests(number))
        finally:
            if record is not None:
                rate = None if concurrency else self.plan.rate or 0.0
                self.points.append(record.make_point(concurrency, rate))
        counters = compute_growth(before, await self._fetch_counters(client))
        self.points[-1] = msgspec.structs.replace(self.points[-1], counters=counters)

    async def _warm_up(self, ask: Callable[..., Awaitable[Exchange]], number: int, at_once: int) -> None:
        first = -(number + 1) * _APART
        numbers = islice(range(first, first + self.plan.warmup), self.share.index, None, self.share.of)
        async with start_recording() as ignored, report_progress(self.progress, lambda: "the warm-up"):
            await run_closed_loop(ask, ignored, numbers, max(at_once, 1), None)

    async def _fetch_counters(self, client: Client) -> Mapping[str, float]:
        return await fetch_counters(client) if self.share.index == 0 else {}

    def _list_numbers(self, number: int) -> Iterator[int]:
        """The numbers of this share's requests in a measurement."""
        first = number * _APART
        every = count(first) if self.most is None else range(first, first + self.most)
        return islice(every, self.share.index, None, self.share.of)

    def _schedule_requests(self, number: int) -> Iterator[tuple[int, float]]:
        """The number of each of this share's requests, and when it is due in an open loop."""
        plan = self.plan
        if plan.rate is not None:
            due = schedule_arrivals(plan.rate, plan.arrivals, plan.seed, self.most, plan.duration_s)
        else:
            due = (self.prompts(index, 1.0).due_s or 0.0 for index in range(self.most or 0))
        return islice(zip(count(number * _APART), due, strict=False), self.share.index, None, self.share.of)

    def _show_progress(self, record: LoadRecording, number: int) -> AbstractAsyncContextManager[None]:
        loads = len(self.plan.concurrencies)
        prefix = f"load {number + 1} of {loads}, " if loads > 1 else ""
        return report_progress(
            self.progress, lambda: f"{prefix}{len(record.samples)} answered, {record.under_way} in flight"
        )
