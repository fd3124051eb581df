"""What the client says of a server that knows better: it wrote down when it wrote each chunk."""

import asyncio
import itertools
from time import perf_counter

import pytest

from dynocheck.facts import LoadPoint
from dynocheck.loadtest.load_generator import run_closed_loop, start_recording
from dynocheck.loadtest.stats.metrics import (
    Summary,
    explain_client_latency,
    summarize_latency,
    summarize_values,
)
from dynocheck.serving import Client, CompletionRequest, Endpoint, Exchange
from tests.loadtest.engine import FakeEngine, engine

TOKENS = 40  # at 50 a second
_TRIES = 3


async def _streamed(url: str, streams: int, requests: int) -> tuple[LoadPoint, dict[str, Exchange]]:
    """A load as the load test makes it, with what it forgets: every exchange, by its prompt."""
    kept: dict[str, Exchange] = {}
    async with Client(Endpoint(url)) as client:

        async def ask(number: int, due: float | None) -> Exchange:
            asked = CompletionRequest(model="m", prompt=f"request {number}", max_tokens=TOKENS)
            kept[f"request {number}"] = await client.complete(asked, scheduled=due)
            return kept[f"request {number}"]

        await client.prepare(streams)
        async with start_recording(perf_counter()) as record:
            await run_closed_loop(ask, record, iter(range(requests)), streams, None)
    return record.make_point(streams, None), kept


def _errors(server: FakeEngine, kept: dict[str, Exchange]) -> tuple[Summary, Summary]:
    """By how much each ttft and each gap was reported too long or too short."""
    first, gaps = [], []
    for request in server.log()["requests"]:
        seen, true = kept[request["prompt"]].times.chunks, request["writes"]
        assert len(seen) == len(true)
        first.append(abs(seen[0] - true[0]))
        told, real = itertools.pairwise(seen), itertools.pairwise(true)
        gaps += [abs((b - a) - (d - c)) for (a, b), (c, d) in zip(told, real, strict=True)]
    return summarize_values(first), summarize_values(gaps)


@pytest.mark.parametrize(
    ("streams", "requests", "bound_s"),
    [
        *((1, 4, 0.002), (8, 16, 0.002), (64, 128, 0.002)),
        pytest.param(256, 512, 0.005, marks=pytest.mark.verify),
    ],
)
def test_reported_times_are_the_true_ones(streams: int, requests: int, bound_s: float) -> None:
    """A hiccup of the machine meets all streams at once; what the client does wrong, it does each time."""
    wrong = [_measure_errors(streams, requests, bound_s)]
    while wrong[-1] and len(wrong) < _TRIES:
        wrong.append(_measure_errors(streams, requests, bound_s))
    assert not wrong[-1], wrong


def _measure_errors(streams: int, requests: int, bound_s: float) -> list[str]:
    """The times of a load that are wrong by more than the bound, unless the client says so itself."""
    wrong = []
    with engine(pace_s=0.02) as server:
        point, kept = asyncio.run(_streamed(server.url, streams, requests))
        assert point.failures == ()
        for metric, errors in zip(("ttft", "chunk_gap"), _errors(server, kept), strict=True):
            worst = errors.percentile(99) or errors.percentile(75)  # of few, one may meet any hiccup
            assert worst is not None
            bound = explain_client_latency(point, metric)
            most = f"up to {errors.longest} s, {worst * 1000:.2f} ms at p99"
            said = f"{streams} streams: {metric} is wrong by {most}"
            print(f"{said}; {bound or 'not client-bound'}")
            if worst > bound_s and not bound:
                wrong.append(said)
    return wrong


def test_what_a_load_test_reports_is_what_it_saw() -> None:
    """Its histogram and samples give the percentiles of the exchanges themselves."""
    with engine(pace_s=0.01) as server:
        point, kept = asyncio.run(_streamed(server.url, 4, 8))
    firsts = sorted(e.times.chunks[0] - e.times.scheduled for e in kept.values())
    assert summarize_latency(point, "ttft").values == pytest.approx(firsts, abs=1e-6)
    gaps = sorted(b - a for e in kept.values() for a, b in itertools.pairwise(e.times.chunks))
    told = summarize_latency(point, "chunk_gap")
    assert told.n == len(gaps)
    assert told.longest == pytest.approx(gaps[-1])
    assert told.mean == pytest.approx(sum(gaps) / len(gaps))
    assert told.percentile(50) == pytest.approx(gaps[(len(gaps) - 1) // 2], rel=0.01)
