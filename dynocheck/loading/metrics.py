"""A server's own counters, by the text format of Prometheus, before and after."""

import re
from collections.abc import Mapping

from dynocheck.facts.load import Counter
from dynocheck.serving import Client

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})?\s+(\S+)(\s+-?\d+)?\s*")
_OURS = re.compile(r"(dynamo|vllm|sglang|trtllm|nv|tgi|llamacpp)[_:].*_total")
_SHOWN = 24


async def counters(client: Client) -> Mapping[str, float]:
    """The counters of a serving engine, summed over their labels; none where there is no /metrics."""
    answer = await client.get("/metrics")
    return parsed(answer.body.decode("utf-8", "replace")) if answer.ok else {}


def parsed(text: str) -> dict[str, float]:
    """The counters in a text of Prometheus' format."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        matched = _LINE.fullmatch(line)
        if matched is None or not _OURS.fullmatch(matched[1]):
            continue
        try:
            value = float(matched[3])
        except ValueError:
            continue
        found[matched[1]] = found.get(matched[1], 0.0) + value
    return found


def growth(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[Counter, ...]:
    """What grew. A counter that was not there began at nothing; one that shrank was reset meanwhile."""
    grown = {name: value - before.get(name, 0.0) for name, value in sorted(after.items())}
    return tuple(Counter(name, by) for name, by in grown.items() if 0 < by < float("inf"))[:_SHOWN]
