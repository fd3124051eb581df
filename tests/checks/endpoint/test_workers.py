"""Checks of workers, routers and caches, in situations that no test server creates."""

from __future__ import annotations

from typing import Any

import pytest

from dynocheck.checks.endpoint import workers
from dynocheck.facts import Address, Brim, Prefix, Reply, ServingWorker, Spread
from tests.checks.endpoint.facts import GOOD, TRUNCATED, URL, ready
from tests.checks.judging import get_skip_reason, outcomes, run_check

FOUR = ready(workers={"aggregated": 4})
SPLIT = ready(workers={"prefill": 1, "decode": 1})


def spread(*served: str, requests: int = 48, **more: Any) -> Spread:
    """Requests that all succeeded, served by these decode workers and, if named p..., prefill workers."""
    kinds = (ServingWorker(name, "prefill" if name.startswith("p") else "decode") for name in served)
    return Spread(replies=(GOOD,) * requests, served=tuple(kinds), **more)


def prefix(*cached: int | None, **more: Any) -> Prefix:
    again = tuple(Reply(seconds=0.1, cached_tokens=count) for count in cached)
    return Prefix(first=GOOD, again=again, **more)


@pytest.mark.parametrize(
    ("known", "served", "answered"),
    [
        ({"aggregated": 4}, "abcd", None),
        ({"aggregated": 4}, "abd", ["a", "b", "d"]),
        ({"prefill": 3, "decode": 2}, "ab", None),  # prefill workers decode nothing
        ({"prefill": 2, "decode": 2}, "abp", ["p"]),
    ],
)
def test_every_worker_must_answer(known: dict[str, int], served: str, answered: list[str] | None) -> None:
    findings = run_check(workers.every_worker, ready(workers=known), spread(*served))
    assert [(f.outcome, f.evidence["answered"]) for f in findings] == (
        [("fail", answered)] if answered else []
    )


def test_too_few_requests_to_miss_a_worker() -> None:
    assert "--requests 40" in get_skip_reason(workers.every_worker, FOUR, spread("a", "b", "d", requests=24))


def test_one_worker_of_each_type() -> None:
    one = ready(workers={"encode": 1, "prefill": 1, "aggregated": 1})
    get_skip_reason(workers.every_worker, one, spread("a"))


def test_metrics_that_name_no_worker() -> None:
    get_skip_reason(workers.every_worker, FOUR, spread())


def asking(**replicas: int) -> Address:
    return Address(url="http://x", deployment="ns/g", replicas=replicas)


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        ({"frontend": 2, "worker": 4}, {"aggregated": 4}, []),
        ({"worker": 4}, {"aggregated": 6}, []),  # other graphs share its namespace
        ({"worker": 4}, {"aggregated": 1}, ["warn"]),
        ({"prefill": 2, "decode": 1}, {"prefill": 1, "decode": 1}, ["warn"]),
        ({"worker": 2}, {"aggregated": 1, "encode": 1}, []),  # v1beta1 has no type for encoders
    ],
)
def test_fewer_workers_than_replicas(
    wanted: dict[str, int], known: dict[str, int], expected: list[str]
) -> None:
    assert outcomes(workers.replicas, asking(**wanted), ready(workers=known)) == expected


def test_replicas_that_cannot_be_compared() -> None:
    get_skip_reason(workers.replicas, URL, FOUR)
    get_skip_reason(workers.replicas, asking(worker=2), ready())
    several = ready(workers={"aggregated": 1}, listed=("m", "other"))
    get_skip_reason(workers.replicas, asking(worker=2), several)


@pytest.mark.parametrize(
    ("phases", "idle"),
    [
        ({"prefill": 24, "decode": 24}, None),
        ({"decode": 24}, "prefill"),
        ({"aggregated": 24}, "prefill"),
        ({"prefill": 24}, "decode"),
    ],
)
def test_prefill_and_decode_both_serve(phases: dict[str, int], idle: str | None) -> None:
    findings = run_check(workers.disaggregated, URL, SPLIT, spread(phases=phases))
    fix = f"kubectl logs -l nvidia.com/dynamo-component-type={idle}"
    assert [(f.outcome, f.fix) for f in findings] == ([("fail", fix)] if idle else [])


def test_a_prefill_worker_of_the_graph_must_serve() -> None:
    graph = asking(decode=1, frontend=1, prefill=1)
    assert outcomes(workers.disaggregated, graph, ready(), spread(phases={"aggregated": 9})) == ["fail"]


def test_no_metrics() -> None:
    blind = spread(metrics="/metrics: HTTP 404")
    assert "HTTP 404" in get_skip_reason(workers.every_worker, FOUR, blind)
    assert "HTTP 404" in get_skip_reason(workers.disaggregated, URL, SPLIT, blind)
    assert "HTTP 404" in get_skip_reason(workers.kv_routing, blind, prefix(0))


@pytest.mark.parametrize(
    ("events", "hit_rate", "fix"),
    [(9, 0.9, None), (0, 0.0, "--kv-events-config"), (9, 0.0, "the same --block-size")],
)
def test_kv_routing(events: int, hit_rate: float, fix: str | None) -> None:
    repeated = prefix(0, block=64, kv_events=events, hit_rate=hit_rate)
    findings = run_check(workers.kv_routing, spread(kv_routed=24), repeated)
    assert [f.outcome for f in findings] == (["fail"] if fix else [])
    assert all((f.fix or "").startswith(fix or "") for f in findings)
    get_skip_reason(workers.kv_routing, spread(), repeated)


def test_a_prompt_shorter_than_two_blocks() -> None:
    large = prefix(0, block=800, kv_events=0)
    get_skip_reason(workers.kv_routing, spread(kv_routed=24), large)
    get_skip_reason(workers.prefix_cache, ready(), large)


def test_prefix_cache() -> None:
    assert outcomes(workers.prefix_cache, ready(), prefix(0, 960, 960)) == []
    assert outcomes(workers.prefix_cache, ready(), prefix(0, 16, 0)) == ["warn"]
    get_skip_reason(workers.prefix_cache, ready(), prefix(None, None))
    get_skip_reason(workers.prefix_cache, SPLIT, prefix(0, 0))


@pytest.mark.parametrize(
    ("brim", "expected"),
    [
        (Brim(room=4096), []),
        (Brim(room=1280, tokens=1664, reply=GOOD), []),
        (
            Brim(room=1280, tokens=1664, reply=TRUNCATED),
            ["--max-model-len 1280, or more memory for the cache"],
        ),
    ],
)
def test_kv_cache_room(brim: Brim, expected: list[str]) -> None:
    findings = run_check(workers.kv_room, ready(context=2048), brim)
    assert [f.fix for f in findings if f.outcome == "fail"] == expected


def test_kv_cache_of_unknown_size() -> None:
    get_skip_reason(workers.kv_room, ready(context=2048), Brim())
