"""Whether every worker behind a frontend serves, and whether caches are used: by the frontend's metrics."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING
from uuid import uuid4

from dynocheck import probe
from dynocheck.facts.endpoint.answers import (
    Address,
    Brim,
    Cancellation,
    Prefix,
    Readiness,
    Reply,
    Served,
    Spread,
)
from dynocheck.probes.endpoint._client import LONGEST, Target, prompt, reply, usual
from dynocheck.serving.prometheus import Metrics, parse

if TYPE_CHECKING:
    from dynocheck.serving import Client

_AT_ONCE = 4
_EACH = 12  # requests for each worker: a router that draws lots leaves one of four out once in 40,000 runs
_MOST = 512
_REPEATS = 3
_PREFIX_WORDS = 600
_TOKENS_A_WORD = 8  # no tokenizer makes more of a word of ours
_LOOKS = 3
_SETTLE_S = 0.5  # events of a cache reach the router a moment after the answer

_SEVERAL = "they are of one of several frontends, which has not seen all requests"
_STARTED = ("dynamo_frontend_requests_started_total", "dynamo_frontend_requests_total")
# Where prefill is apart, the first token is that worker's and the others are those of the one that decodes.
_LAST = (
    "dynamo_frontend_worker_last_time_to_first_token_seconds",
    "dynamo_frontend_worker_last_inter_token_latency_seconds",
)
_ROUTED = "dynamo_component_router_input_sequence_tokens_count"
_HIT_RATE = "dynamo_component_router_kv_hit_rate"
_EVENTS = "dynamo_component_kv_cache_events_applied"
_BLOCK = "dynamo_frontend_model_kv_cache_block_size"
_BLOCKS = "dynamo_frontend_model_total_kv_blocks"


def _count(target: Target, readiness: Readiness) -> int:
    return max(target.requests, min(_EACH * sum(readiness.workers.values()), _MOST))


@probe(limit=lambda target, address, readiness, cancellation: target.several(_count(target, readiness)))
def spread(target: Target, address: Address, readiness: Readiness, cancellation: Cancellation) -> Spread:
    """Last of all that asks for itself, so that its requests are all that the metrics count."""
    run = uuid4().hex  # no cache knows these prompts, however often this is run

    async def ask(client: "Client") -> Spread:
        async def once(number: int) -> Reply:
            asked = usual(readiness, f"{run} {number}", stream=bool(number % 2))
            return reply(await client.complete(asked, limits=target.limits))

        before, blind = await _metrics(client, target)
        replies = await _together([lambda n=n: once(n) for n in range(_count(target, readiness))])  # type: ignore[misc]
        after, why = await _metrics(client, target)
        return Spread(
            replies=tuple(replies),
            metrics=blind or why or _others(before, after, len(replies)),
            served=tuple(_served(before, after)),
            phases=_phases(before, after),
            kv_routed=round(after.total(_HIT_RATE + "_count") - before.total(_HIT_RATE + "_count")),
        )

    return target.ask_ready(address, readiness, ask)


@probe(limit=lambda target, address, readiness, spread: target.several(1 + _REPEATS))
def prefix(target: Target, address: Address, readiness: Readiness, spread: Spread) -> Prefix:
    """After the others, so that only its own requests are in the numbers."""
    words = min(_PREFIX_WORDS, max((readiness.context or 4096) // _TOKENS_A_WORD, 16))
    text = prompt(uuid4().hex, words)

    async def ask(client: "Client") -> Prefix:
        import asyncio

        asked = usual(readiness, "", prompt=text)
        first = reply(await client.complete(asked, limits=target.limits))
        await asyncio.sleep(_SETTLE_S)
        before, blind = await _metrics(client, target)
        again = [reply(await client.complete(asked, limits=target.limits)) for _ in range(_REPEATS)]
        after, why = await _metrics(client, target)
        return Prefix(
            first=first,
            again=tuple(again),
            metrics=blind or why or _others(before, after, len(again)),
            hit_rate=_hit_rate(before, after),
            kv_events=_events(after) if after.has(_EVENTS) else None,
            block=_of(after, readiness.model, _BLOCK),
            blocks=_of(after, readiness.model, _BLOCKS),
            words=words,
        )

    return target.ask_ready(address, readiness, ask)


@probe(limit=lambda target, address, readiness, prefix: target.several(1))
def brim(target: Target, address: Address, readiness: Readiness, prefix: Prefix) -> Brim:
    """Nothing is asked where a cache has room for the whole context, or nobody says how large it is."""
    if prefix.block is None or prefix.blocks is None or readiness.context is None:
        return Brim()
    room = prefix.block * prefix.blocks
    tokens = (room + readiness.context) // 2
    if not (room < readiness.context <= LONGEST and prefix.first.prompt_tokens):
        return Brim(room=room)
    text = prompt(uuid4().hex, tokens * prefix.words // prefix.first.prompt_tokens)

    async def ask(client: "Client") -> Reply:
        asked = usual(readiness, "", prompt=text, max_tokens=1, stream=False)
        return reply(await client.complete(asked, limits=target.limits))

    return Brim(room=room, tokens=tokens, reply=target.ask_ready(address, readiness, ask))


async def _metrics(client: "Client", target: Target) -> tuple[Metrics, str]:
    """The frontend's metrics, or why they do not tell. Several looks, for each may be at another frontend."""
    counted: list[float] = []
    metrics = Metrics()
    for _ in range(_LOOKS):
        answer = await client.get("/metrics", limits=target.limits)
        if answer.failure is not None:
            return Metrics(), f"/metrics: {answer.failure.message}"
        metrics = parse(answer.body.decode("utf-8", "replace"))
        counted.append(_started(metrics))
    if not any(name.startswith("dynamo_") for name in metrics.names):
        return metrics, "they are not Dynamo's"
    return metrics, "" if counted == sorted(counted) else _SEVERAL


def _others(before: Metrics, after: Metrics, sent: int) -> str:
    """Why these are not the metrics of so many requests between them, if they are not."""
    return _SEVERAL if _started(after) - _started(before) < sent else ""


def _started(metrics: Metrics) -> float:
    """How many requests the frontend has begun with, or ended in releases that do not count the former."""
    return metrics.total(next((name for name in _STARTED if metrics.has(name)), ""))


async def _together(calls: Iterable[Callable[[], Awaitable[Reply]]]) -> list[Reply]:
    import asyncio

    free = asyncio.Semaphore(_AT_ONCE)

    async def one(call: Callable[[], Awaitable[Reply]]) -> Reply:
        async with free:
            return await call()

    return await asyncio.gather(*(one(call) for call in calls))


def _served(before: Metrics, after: Metrics) -> Iterable[Served]:
    """The workers whose last times are others than before: they have answered since."""
    changed: set[tuple[str, str]] = set()
    for name in _LAST:
        earlier = {tuple(sorted(sample.labels.items())): sample.value for sample in before.named(name)}
        changed |= {
            (sample.labels.get("worker_id", ""), sample.labels.get("worker_type", ""))
            for sample in after.named(name)
            if earlier.get(tuple(sorted(sample.labels.items()))) != sample.value
        }
    return (Served(*each) for each in sorted(changed))


def _phases(before: Metrics, after: Metrics) -> dict[str, int]:
    phases = {sample.labels.get("phase", "") for sample in after.named(_ROUTED)} - {""}
    counts = {
        p: round(after.total(_ROUTED, phase=p) - before.total(_ROUTED, phase=p)) for p in sorted(phases)
    }
    return {phase: count for phase, count in counts.items() if count > 0}


def _of(metrics: Metrics, model: str, name: str) -> int | None:
    """What the frontend says of this model, whose name it may write in small letters."""
    said = {s.value for s in metrics.named(name) if s.labels.get("model", "").lower() == model.lower()}
    return round(said.pop()) or None if len(said) == 1 else None


def _events(metrics: Metrics) -> int:
    return round(metrics.total(_EVENTS, event_type="stored", status="ok"))


def _hit_rate(before: Metrics, after: Metrics) -> float | None:
    """The mean of the requests between the two."""
    count = after.total(_HIT_RATE + "_count") - before.total(_HIT_RATE + "_count")
    share = after.total(_HIT_RATE + "_sum") - before.total(_HIT_RATE + "_sum")
    return round(share / count, 4) if count > 0 else None
