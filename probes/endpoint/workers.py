"""Sends requests to find out which workers serve and which caches are hit, by the frontend's metrics."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from dynocheck import probe
from dynocheck.facts import (
    Address,
    Brim,
    Cancellation,
    Prefix,
    Readiness,
    Reply,
    ServingWorker,
    Spread,
)
from dynocheck.probes.endpoint._client import (
    MAX_PROMPT_TOKENS,
    Target,
    make_completion,
    make_prompt,
    make_reply,
)
from dynocheck.serving.prometheus import Metrics, parse

if TYPE_CHECKING:
    from dynocheck.serving import Client

_AT_ONCE = 4
_PER_WORKER = 12  # requests: with random routing, one of four workers gets none in 1 of 40,000 runs
_MAX_REQUESTS = 512
_REPEATS = 3
_PREFIX_WORDS = 600
_TOKENS_A_WORD = 8  # upper bound for our words in any tokenizer
_TEMPLATE = 256  # tokens of a chat template and the answer, in any tokenizer
_LOOKS = 3
_SETTLE_S = 0.5  # KV events reach the router shortly after the response

_SEVERAL = "metrics of one of several frontends, which has not seen all requests"
_STARTED = ("dynamo_frontend_requests_started_total", "dynamo_frontend_requests_total")
# In a disaggregated graph the prefill worker gives the first token, and the decode worker all others.
_LAST = (
    "dynamo_frontend_worker_last_time_to_first_token_seconds",
    "dynamo_frontend_worker_last_inter_token_latency_seconds",
)
_ROUTED = "dynamo_component_router_input_sequence_tokens_count"
_HIT_RATE = "dynamo_component_router_kv_hit_rate"
_EVENTS = "dynamo_component_kv_cache_events_applied"
_BLOCK = "dynamo_frontend_model_kv_cache_block_size"
_BLOCKS = "dynamo_frontend_model_total_kv_blocks"


def _count_requests(target: Target, readiness: Readiness) -> int:
    return max(target.requests, min(_PER_WORKER * sum(readiness.workers.values()), _MAX_REQUESTS))


@probe(
    limit=lambda target, address, readiness, cancellation: target.estimate_seconds(
        _count_requests(target, readiness)
    )
)
def spread(target: Target, address: Address, readiness: Readiness, cancellation: Cancellation) -> Spread:
    """Runs after the probes that send other requests, so that the metrics count only its own."""
    run = uuid4().hex  # makes prompts that are in no cache, however often this is run

    async def send(client: "Client") -> Spread:
        async def complete(number: int) -> Reply:
            request = make_completion(readiness, f"{run} {number}", stream=bool(number % 2))
            return make_reply(await target.complete(client, request))

        before, problem = await _fetch_metrics(client, target)
        numbers = range(_count_requests(target, readiness))
        replies = await _gather_replies([partial(complete, number) for number in numbers])
        after, later_problem = await _fetch_metrics(client, target)
        return Spread(
            replies=tuple(replies),
            metrics=problem or later_problem or _explain_undercount(before, after, len(replies)),
            served=tuple(_find_served(before, after)),
            phases=_count_phases(before, after),
            kv_routed=round(after.total(_HIT_RATE + "_count") - before.total(_HIT_RATE + "_count")),
        )

    return target.send_when_ready(address, readiness, send)


@probe(limit=lambda target, address, readiness, spread: target.estimate_seconds(1 + _REPEATS))
def prefix(target: Target, address: Address, readiness: Readiness, spread: Spread) -> Prefix:
    """Runs after the others, so that the metrics count only its own requests."""
    room = (readiness.context or 4096) - _TEMPLATE
    words = min(_PREFIX_WORDS, max(room // _TOKENS_A_WORD, 16))
    text = make_prompt(uuid4().hex, words)

    async def send(client: "Client") -> Prefix:
        import asyncio

        request = make_completion(readiness, "", prompt=text)
        first = make_reply(await target.complete(client, request))
        await asyncio.sleep(_SETTLE_S)
        before, problem = await _fetch_metrics(client, target)
        again = [make_reply(await target.complete(client, request)) for _ in range(_REPEATS)]
        after, later_problem = await _fetch_metrics(client, target)
        return Prefix(
            first=first,
            again=tuple(again),
            metrics=problem or later_problem or _explain_undercount(before, after, len(again)),
            hit_rate=_compute_hit_rate(before, after),
            kv_events=_count_events(after) if after.has(_EVENTS) else None,
            block=_read_gauge(after, readiness.model, _BLOCK),
            blocks=_read_gauge(after, readiness.model, _BLOCKS),
            words=words,
        )

    return target.send_when_ready(address, readiness, send)


@probe(limit=lambda target, address, readiness, prefix: target.estimate_seconds(1))
def brim(target: Target, address: Address, readiness: Readiness, prefix: Prefix) -> Brim:
    """Sends nothing if the cache fits the whole context, or if its size is unknown."""
    if prefix.block is None or prefix.blocks is None or readiness.context is None:
        return Brim()
    room = prefix.block * prefix.blocks
    tokens = (room + readiness.context) // 2
    if not (room < readiness.context <= MAX_PROMPT_TOKENS and prefix.first.prompt_tokens):
        return Brim(room=room)
    text = make_prompt(uuid4().hex, tokens * prefix.words // prefix.first.prompt_tokens)

    async def send(client: "Client") -> Reply:
        request = make_completion(readiness, "", prompt=text, max_tokens=1, stream=False)
        return make_reply(await target.complete(client, request))

    return Brim(room=room, tokens=tokens, reply=target.send_when_ready(address, readiness, send))


async def _fetch_metrics(client: "Client", target: Target) -> tuple[Metrics, str]:
    """The frontend's metrics, and why they cannot be used, if so. Read _LOOKS times, because each request may
    reach another frontend.
    """
    counted: list[float] = []
    metrics = Metrics()
    for _ in range(_LOOKS):
        response = await client.get("/metrics", limits=target.limits)
        if response.failure is not None:
            return Metrics(), f"/metrics: {response.failure.message}"
        metrics = parse(response.body.decode("utf-8", "replace"))
        counted.append(_count_started(metrics))
    if not any(name.startswith("dynamo_") for name in metrics.names):
        return metrics, "not a Dynamo frontend"
    return metrics, "" if counted == sorted(counted) else _SEVERAL


def _explain_undercount(before: Metrics, after: Metrics, sent: int) -> str:
    """Why the metrics cannot be used, if they count fewer requests between them than were sent."""
    return _SEVERAL if _count_started(after) - _count_started(before) < sent else ""


def _count_started(metrics: Metrics) -> float:
    """The requests that the frontend has started, or finished in releases that count only those."""
    return metrics.total(next((name for name in _STARTED if metrics.has(name)), ""))


async def _gather_replies(calls: Iterable[Callable[[], Awaitable[Reply]]]) -> list[Reply]:
    import asyncio

    slots = asyncio.Semaphore(_AT_ONCE)

    async def run(call: Callable[[], Awaitable[Reply]]) -> Reply:
        async with slots:
            return await call()

    return await asyncio.gather(*map(run, calls))


def _find_served(before: Metrics, after: Metrics) -> Iterable[ServingWorker]:
    """The workers whose last latencies have changed, which means that they have answered since."""
    changed: set[tuple[str, str]] = set()
    for name in _LAST:
        earlier = {tuple(sorted(sample.labels.items())): sample.value for sample in before.select(name)}
        changed |= {
            (sample.labels.get("worker_id", ""), sample.labels.get("worker_type", ""))
            for sample in after.select(name)
            if earlier.get(tuple(sorted(sample.labels.items()))) != sample.value
        }
    return (ServingWorker(*each) for each in sorted(changed))


def _count_phases(before: Metrics, after: Metrics) -> dict[str, int]:
    phases = {sample.labels.get("phase", "") for sample in after.select(_ROUTED)} - {""}
    counts = {
        p: round(after.total(_ROUTED, phase=p) - before.total(_ROUTED, phase=p)) for p in sorted(phases)
    }
    return {phase: count for phase, count in counts.items() if count > 0}


def _read_gauge(metrics: Metrics, model: str, name: str) -> int | None:
    """A gauge of this model, whose name the frontend may write in lower case; None if it is missing or 0."""
    values = {s.value for s in metrics.select(name) if s.labels.get("model", "").lower() == model.lower()}
    return round(values.pop()) or None if len(values) == 1 else None


def _count_events(metrics: Metrics) -> int:
    return round(metrics.total(_EVENTS, event_type="stored", status="ok"))


def _compute_hit_rate(before: Metrics, after: Metrics) -> float | None:
    """The mean hit rate, from 0 to 1, of the requests between the two scrapes."""
    count = after.total(_HIT_RATE + "_count") - before.total(_HIT_RATE + "_count")
    share = after.total(_HIT_RATE + "_sum") - before.total(_HIT_RATE + "_sum")
    return round(share / count, 4) if count > 0 else None
