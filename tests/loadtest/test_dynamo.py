"""Load tests of the real Dynamo, with workers that play an engine."""

import threading

from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.stats.metrics import summarize_latency
from dynocheck.probes.load.run import measure_load
from dynocheck.serving import Endpoint
from tests.dynamo import build
from tests.dynamo.server import CONTEXT, Dynamo


def test_what_dynamo_serves_is_measured_in_full(dynamo: Dynamo) -> None:
    found = measure_load(LoadPlan(Endpoint(dynamo.url), requests=24, output_tokens=32, input_tokens=64))
    (point,) = found.points
    assert (len(point.samples), point.failed) == (24, 0)
    assert found.notes == ()  # it takes ignore_eos
    assert {sample.output_tokens for sample in point.samples} == {32}
    assert all(40 <= (sample.input_tokens or 0) <= 100 for sample in point.samples)
    assert summarize_latency(point, "tpot").n == 24
    counted = {counter.name: counter.grew for counter in point.counters}
    assert counted["dynamo_frontend_output_tokens_total"] == 24 * 32


def test_a_prompt_that_is_too_long_fails_whatever_its_status(dynamo: Dynamo) -> None:
    """Dynamo answers HTTP 200, an error in the stream and [DONE]."""
    found = measure_load(LoadPlan(Endpoint(dynamo.url), requests=3, warmup=0, input_tokens=2 * CONTEXT))
    (point,) = found.points
    assert point.failed == len(point.samples) >= 1
    assert {each.kind for each in point.failures} <= {"in-stream-error", "http-5xx", "http-4xx"}


def test_every_answer_that_a_killed_worker_left_unfinished_is_a_failure(dynamo_home: build.Home) -> None:
    """No request that ends at half its length counts as good, whatever the frontend says of it."""
    with Dynamo(workers=2, speedup=1.0, frontend=["--migration-limit", "0"]) as server:
        victim = next(iter(server.status_ports))
        killing = threading.Timer(1.5, server.kill, [victim])
        killing.start()
        found = measure_load(
            LoadPlan(Endpoint(server.url), requests=60, concurrencies=(8,), output_tokens=60, warmup=2)
        )
        killing.join()
    (point,) = found.points
    assert len(point.samples) == 60
    assert point.failed >= 1, "the worker died between two requests"
    assert {sample.output_tokens for sample in point.good} == {60}
    assert {sample.chunks for sample in point.good} == {60}
    for sample in point.samples:
        assert sample.ok == (sample.chunks == 60 and sample.output_tokens == 60)
