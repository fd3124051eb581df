"""Load tests of a server that knows what was asked of it."""

import asyncio
import gc
import itertools
import os
import statistics
from pathlib import Path
from typing import Any

import pytest

from dynocheck.facts import LoadPoint, LoadRun, Unavailable
from dynocheck.loadtest.load_generator import schedule_arrivals
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.run import run
from dynocheck.loadtest.stats.metrics import summarize_latency
from dynocheck.loadtest.workers import run_workers
from dynocheck.probes.load.run import measure_load
from dynocheck.serving import Endpoint, ExchangeLimits, SecretValue
from tests.loadtest.engine import engine
from tests.loadtest.test_prompts import write

PATIENT = ExchangeLimits(first_byte_s=30, idle_s=30, total_s=30)


def load(url: str, **wanted: Any) -> LoadRun:
    """A small load test."""
    usual = {"output_tokens": 4, "input_tokens": 40, "requests": 8, "warmup": 2}
    endpoint = Endpoint(url, limits=PATIENT, key=wanted.pop("key", None))
    return measure_load(LoadPlan(endpoint, **{**usual, **wanted}))


def only(found: LoadRun) -> LoadPoint:
    (point,) = found.points
    return point


def test_every_request_is_counted_and_the_warm_up_is_not() -> None:
    with engine() as server:
        point = only(load(server.url, requests=10, warmup=3))
        seen = server.log()
    assert (len(point.samples), point.failed) == (10, 0)
    assert len(seen["requests"]) == 1 + 3 + 10  # the first that agrees on terms, the warm-up, the measured
    assert seen["at_once"] == 4
    assert {(sample.output_tokens, sample.chunks) for sample in point.samples} == {(4, 4)}
    # The server's own counters, over the same window.
    assert {counter.name: counter.grew for counter in point.counters} == {"vllm:generation_tokens_total": 40}


def test_a_long_load_leaves_no_garbage_behind() -> None:
    """The command line looks for no cycles, of which every request that fails leaves some."""
    with engine(fail=tuple(range(3, 10_000))) as server:
        gc.collect()
        gc.disable()
        try:
            point = only(load(server.url, requests=2000, concurrencies=(16,), output_tokens=1))
            left = gc.collect()
            collects = gc.isenabled()
        finally:
            gc.enable()
    assert point.failed == 2000
    assert not collects
    assert left < 5 * point.failed


def test_no_two_prompts_begin_alike_and_each_has_the_length_that_was_asked_for() -> None:
    with engine() as server:  # a tokenizer that makes two tokens of a word
        point = only(load(server.url, input_tokens=100))
        prompts = server.prompts
    assert len({tuple(prompt.split()[:6]) for prompt in prompts}) == len(prompts)
    assert all(95 <= (sample.input_tokens or 0) <= 105 for sample in point.samples)


@pytest.mark.parametrize("concurrency", [1, 6])
def test_the_closed_loop_keeps_so_many_under_way(concurrency: int) -> None:
    with engine() as server:
        load(server.url, concurrencies=(concurrency,), requests=12)
        assert server.log()["at_once"] == concurrency


def test_a_sweep_measures_each_load() -> None:
    with engine() as server:
        found = load(server.url, concurrencies=(1, 2, 4), requests=4)
    assert [point.concurrency for point in found.points] == [1, 2, 4]
    assert [len(point.samples) for point in found.points] == [4, 4, 4]


def test_a_duration_ends_the_sending_and_not_what_was_sent() -> None:
    with engine() as server:
        point = only(load(server.url, requests=None, duration_s=0.5))
    assert len(point.samples) >= 4
    assert all(sample.ok and sample.start_s < 0.5 for sample in point.samples)
    assert point.window_s > 0.5


def test_in_the_open_loop_a_stall_counts_from_when_a_request_was_due() -> None:
    """One request at a time is served; who waits for the one before it has waited."""
    with engine(stall={4: 0.6}) as server:
        point = only(load(server.url, rate=20, arrivals="constant", requests=10, warmup=2))
    due = [sample.start_s for sample in point.samples]
    assert sorted(due) == pytest.approx([number / 20 for number in range(10)])
    assert summarize_latency(point, "ttft").longest == pytest.approx(0.6, abs=0.25)
    assert point.rate == 20
    assert point.concurrency is None


def test_arrivals() -> None:
    assert list(schedule_arrivals(10, "constant", 0, 4, None)) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert len(list(schedule_arrivals(10, "constant", 0, None, 1.0))) == 11
    times = list(schedule_arrivals(50, "poisson", 3, 4001, None))
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.fmean(gaps) == pytest.approx(0.02, rel=0.1)
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.1)  # as those of independent users
    assert times == list(schedule_arrivals(50, "poisson", 3, 4001, None))


def test_failures_are_told_by_class() -> None:
    with engine(fail=(3, 5), cut=(6,)) as server:
        point = only(load(server.url, concurrencies=(1,), requests=8, warmup=2))
    assert {each.kind: each.count for each in point.failures} == {"http-5xx": 2, "truncated": 1}
    assert len(point.good) == 5
    assert point.gaps.n == 5 * 3  # of the good ones


def test_a_field_that_is_refused_is_left_out_and_named() -> None:
    with engine(refuse=("ignore_eos",)) as server:
        found = load(server.url)
        assert all("ignore_eos" not in request["asked"] for request in server.log()["requests"][1:])
    assert only(found).failed == 0
    assert [note for note in found.notes if "ignore_eos" in note]


def test_a_server_that_counts_no_tokens() -> None:
    with engine(refuse=("ignore_eos", "stream_options")) as server:
        found = load(server.url)
    assert only(found).failed == 0
    assert {sample.output_tokens for sample in only(found).samples} == {None}
    assert [note for note in found.notes if "tokens are not counted" in note]


def test_a_first_request_that_fails_for_good_is_the_only_one() -> None:
    with engine(key="other") as server:
        found = load(server.url, model="m", key=SecretValue("sesame-0123456789"))
        assert len(server.log()["requests"]) == 1
    point = only(found)
    assert (len(point.samples), point.failed) == (1, 1)
    assert point.failures[0].kind == "http-4xx"
    assert "sesame" not in point.failures[0].message


def test_a_model_that_is_not_named() -> None:
    with engine(models=("one", "two")) as server:
        with pytest.raises(Unavailable, match="2 models are served"):
            load(server.url)
        assert load(server.url, model="two").model == "two"
    with engine(models=()) as server, pytest.raises(Unavailable, match="no model is served"):
        load(server.url)


def test_chunks_of_several_tokens() -> None:
    with engine(per_chunk=2) as server:
        point = only(load(server.url, output_tokens=8))
    assert {(sample.output_tokens, sample.chunks) for sample in point.samples} == {(8, 4)}


def test_a_file_of_prompts(tmp_path: Path) -> None:
    rows = [{"prompt": f"question {number}", "max_tokens": 3} for number in range(4)]
    with engine() as server:
        found = load(server.url, prompts=write(tmp_path, *rows), requests=6, chat=False)
        assert set(server.prompts) == {row["prompt"] for row in rows}
    assert {sample.output_tokens for sample in only(found).samples} == {3}
    assert found.notes


def test_a_trace_is_sent_when_it_says(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 100 * number, "input_length": 20, "output_length": 2 + number, "hash_ids": [number]}
        for number in range(4)
    ]
    with engine() as server:
        found = load(server.url, prompts=write(tmp_path, *rows), requests=None)
    samples = sorted(only(found).samples, key=lambda sample: sample.start_s)
    assert found.mode == "trace"
    assert [sample.start_s for sample in samples] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [sample.output_tokens for sample in samples] == [2, 3, 4, 5]


@pytest.mark.parametrize("wanted", [{}, {"rate": 40.0, "arrivals": "constant"}])
def test_workers_share_one_load(wanted: dict[str, Any]) -> None:
    with engine() as server:
        found = load(server.url, workers=3, requests=10, warmup=3, **wanted)
        seen = server.log()
    point = only(found)
    assert (len(point.samples), point.failed) == (10, 0)
    assert point.client.workers == 3
    assert len(seen["requests"]) == 3 + 3 + 10
    assert len({request["prompt"] for request in seen["requests"]}) == len(seen["requests"])
    assert point.gaps.n == 10 * 3
    if wanted:
        due = [sample.start_s for sample in point.samples]
        assert due == pytest.approx([number / 40 for number in range(10)])
    else:
        assert seen["at_once"] <= 4


def test_workers_say_what_stood_in_the_way(tmp_path: Path) -> None:
    with engine(models=()) as server, pytest.raises(Unavailable, match="no model is served"):
        load(server.url, workers=2)


def test_the_key_reaches_the_workers_and_nobody_else() -> None:
    with engine(key="sesame-0123456789") as server:
        found = load(server.url, key=SecretValue("sesame-0123456789"), workers=2)
    assert only(found).failed == 0
    assert "sesame" not in repr(found)
    assert "sesame-0123456789" not in os.environ.values()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_measured_before_an_interrupt_is_kept(workers: int) -> None:
    async def interrupted(url: str) -> LoadRun:
        lasting = {"requests": None, "duration_s": 60, "output_tokens": 4, "warmup": 2}
        plan = LoadPlan(Endpoint(url), workers=workers, **lasting)  # type: ignore[arg-type]
        making = asyncio.create_task(run(plan) if workers == 1 else run_workers(plan))
        await asyncio.sleep(0.6 if workers == 1 else 2.0)
        making.cancel()
        return await making

    with engine() as server:
        found = asyncio.run(interrupted(server.url))
    assert found.interrupted
    point = only(found)
    assert point.samples
    assert point.failed == 0
    assert point.stopped in range(1, 5)
