"""Reads a server's Prometheus counters before and after a measurement."""

import re
from collections.abc import Mapping

from dynocheck.facts import CounterGrowth
from dynocheck.serving import Client
from dynocheck.serving.prometheus import parse

_ENGINE_COUNTER = re.compile(r"(dynamo|vllm|sglang|trtllm|nv|tgi|llamacpp)[_:].*_total")
_SHOWN = 24


async def fetch_counters(client: Client) -> Mapping[str, float]:
    """The counters of a serving engine, summed over their labels; empty if there is no /metrics."""
    response = await client.get("/metrics")
    return parse_counters(response.body.decode("utf-8", "replace")) if response.ok else {}


def parse_counters(text: str) -> dict[str, float]:
    """The engine counters in a Prometheus text, summed over their labels."""
    counters: dict[str, float] = {}
    for sample in parse(text).samples:
        if _ENGINE_COUNTER.fullmatch(sample.name):
            counters[sample.name] = counters.get(sample.name, 0.0) + sample.value
    return counters


def compute_growth(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[CounterGrowth, ...]:
    """The counters that grew. A new counter counts from 0; one that shrank was reset, and is left out."""
    growth = {name: value - before.get(name, 0.0) for name, value in sorted(after.items())}
    return tuple(CounterGrowth(name, by) for name, by in growth.items() if 0 < by < float("inf"))[:_SHOWN]
