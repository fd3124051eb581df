"""Checks of workers, routers and caches, in situations that no test server creates."""

from typing import Any

import pytest

from dynocheck.checks.endpoint import workers
from dynocheck.facts import Address, Brim, Prefix, Readiness, Reply, ServingWorker, Spread
from tests.checks.endpoint.facts import GOOD, TRUNCATED, URL, ready
from tests.checks.judging import get_skip_reason, outcomes, run_check

FOUR = ready(workers={"aggregated": 4})
SPLIT = ready(workers={"prefill": 1, "decode": 1})


def spread(*served: str, requests: int = 48, **more: Any) -> Spread:
    """Requests that all succeeded, served by these decode workers and, if named p..., prefill workers."""
    kinds = (ServingWorker(name, "prefill" if name.startswith("p") else "decode") for name in served)
    return Spread(replies=(GOOD,) * requests, served=tuple(kinds), **more)


BLIND = spread(metrics="/metrics: HTTP 404")


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
    told = [(finding.outcome, finding.evidence["answered"]) for finding in findings]
    assert told == ([("fail", answered)] if answered else [])


@pytest.mark.parametrize(
    ("asked", "found", "reason"),
    [
        (FOUR, spread("a", "b", "d", requests=24), "--requests 40"),
        (ready(workers={"encode": 1, "prefill": 1, "aggregated": 1}), spread("a"), ""),  # one of each type
        (FOUR, spread(), ""),  # metrics that name no worker
        (FOUR, BLIND, "HTTP 404"),
    ],
)
def test_too_little_to_miss_a_worker(asked: Readiness, found: Spread, reason: str) -> None:
    assert reason in get_skip_reason(workers.every_worker, asked, found)


def ask(**replicas: int) -> Address:
    return Address(url="http://x", deployment="ns/g", replicas=replicas)


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (ask(frontend=2, worker=4), FOUR, []),
        (ask(worker=4), ready(workers={"aggregated": 6}), []),  # other graphs share its namespace
        (ask(worker=4), ready(workers={"aggregated": 1}), ["warn"]),
        (ask(prefill=2, decode=1), SPLIT, ["warn"]),
        (
            ask(worker=2),
            ready(workers={"aggregated": 1, "encode": 1}),
            [],
        ),  # v1beta1 has no type for encoders
        (URL, FOUR, ["skip"]),
        (ask(worker=2), ready(), ["skip"]),
        (ask(worker=2), ready(workers={"aggregated": 1}, listed=("m", "other")), ["skip"]),
    ],
)
def test_fewer_workers_than_replicas(wanted: Address, found: Readiness, expected: list[str]) -> None:
    assert outcomes(workers.replicas, wanted, found) == expected


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
    fix = f"read the log of the server: why does no {idle} worker serve?"
    assert [(f.outcome, f.fix) for f in findings] == ([("fail", fix)] if idle else [])


def test_a_prefill_worker_of_the_graph_must_serve() -> None:
    graph = ask(decode=1, frontend=1, prefill=1)
    assert outcomes(workers.disaggregated, graph, ready(), spread(phases={"aggregated": 9})) == ["fail"]


def test_no_metrics() -> None:
    assert "HTTP 404" in get_skip_reason(workers.disaggregated, URL, SPLIT, BLIND)
    assert "HTTP 404" in get_skip_reason(workers.kv_routing, BLIND, prefix(0))


@pytest.mark.parametrize(
    ("events", "hit_rate", "fix"),
    [(9, 0.9, None), (0, 0.0, "--kv-events-config"), (9, 0.0, "the same --block-size")],
)
def test_kv_routing(events: int, hit_rate: float, fix: str | None) -> None:
    repeated = prefix(0, block=64, kv_events=events, hit_rate=hit_rate)
    findings = run_check(workers.kv_routing, spread(kv_routed=24), repeated)
    assert [f.outcome for f in findings] == (["fail"] if fix else [])
    assert all((f.fix or "").startswith(fix or "") for f in findings)
    assert outcomes(workers.kv_routing, spread(), repeated) == ["skip"]


LARGE = prefix(0, block=800, kv_events=0)  # a prompt is shorter than two blocks


def test_kv_routing_of_a_short_prompt() -> None:
    assert outcomes(workers.kv_routing, spread(kv_routed=24), LARGE) == ["skip"]


@pytest.mark.parametrize(
    ("found", "repeated", "expected"),
    [
        (ready(), prefix(0, 960, 960), []),
        (ready(), prefix(0, 16, 0), ["warn"]),
        (ready(), prefix(None, None), ["skip"]),
        (ready(), LARGE, ["skip"]),
        (SPLIT, prefix(0, 0), ["skip"]),
    ],
)
def test_prefix_cache(found: Readiness, repeated: Prefix, expected: list[str]) -> None:
    assert outcomes(workers.prefix_cache, found, repeated) == expected


@pytest.mark.parametrize(
    ("brim", "fixes"),
    [
        (Brim(room=4096), []),
        (Brim(room=1280, tokens=1664, reply=GOOD), []),
        (
            Brim(room=1280, tokens=1664, reply=TRUNCATED),
            ["--max-model-len 1280, or more memory for the cache"],
        ),
    ],
)
def test_kv_cache_room(brim: Brim, fixes: list[str]) -> None:
    findings = run_check(workers.kv_room, ready(context=2048), brim)
    assert [(f.outcome, f.fix) for f in findings] == [("fail", fix) for fix in fixes]


def test_kv_cache_of_unknown_size() -> None:
    assert outcomes(workers.kv_room, ready(context=2048), Brim()) == ["skip"]
