"""A server's own counters, by the text format of Prometheus, before and after."""

import re
from collections.abc import Mapping

from dynocheck.facts.load.run import CounterGrowth
from dynocheck.serving import Client
from dynocheck.serving.prometheus import parse

_OURS = re.compile(r"(dynamo|vllm|sglang|trtllm|nv|tgi|llamacpp)[_:].*_total")
_SHOWN = 24


async def fetch_counters(client: Client) -> Mapping[str, float]:
    """The counters of a serving engine, summed over their labels; none where there is no /metrics."""
    answer = await client.get("/metrics")
    return parse_counters(answer.body.decode("utf-8", "replace")) if answer.ok else {}


def parse_counters(text: str) -> dict[str, float]:
    """The counters in a text of Prometheus' format."""
    found: dict[str, float] = {}
    for sample in parse(text).samples:
        if _OURS.fullmatch(sample.name):
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def compute_growth(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[CounterGrowth, ...]:
    """What grew. A counter that was not there began at nothing; one that shrank was reset meanwhile."""
    grown = {name: value - before.get(name, 0.0) for name, value in sorted(after.items())}
    return tuple(CounterGrowth(name, by) for name, by in grown.items() if 0 < by < float("inf"))[:_SHOWN]
