"""Checks of endpoints, on what no server of the tests does: idle workers, blind routers, cold starts."""

from __future__ import annotations

from typing import Any

import pytest

from dynocheck.checks.endpoint import error_handling, serving
from dynocheck.checks.endpoint import workers as endpoint_workers
from dynocheck.facts.endpoint.answers import (
    Address,
    Answers,
    Brim,
    Cancellation,
    Prefix,
    Readiness,
    Refusals,
    Reply,
    RequestFailure,
    ServingWorker,
    Spread,
)
from tests.checks.judging import get_skip_reason, list_messages, run_check

URL = Address(url="http://frontend:8000")
GOOD = Reply(seconds=0.1, status=200, completion_tokens=8, prompt_tokens=1000, content=40)
LOST = Reply(seconds=0.1, trouble=RequestFailure("truncated", "the stream ended without [DONE]"))


def ready(**more: Any) -> Readiness:
    given = {"stage": "done", "waited_s": 1.0, "budget_s": 300.0, "model": "m", "listed": ("m",)}
    return Readiness(**{**given, **more})


def spread(*served: str, requests: int = 48, **more: Any) -> Spread:
    return Spread(
        replies=(GOOD,) * requests, served=tuple(ServingWorker(w, "decode") for w in served), **more
    )


def prefix(*cached: int | None, **more: Any) -> Prefix:
    again = tuple(Reply(seconds=0.1, cached_tokens=count) for count in cached)
    return Prefix(first=GOOD, again=again, **more)


# endpoint.every-worker

FOUR = ready(workers={"aggregated": 4})


def test_every_worker_must_answer() -> None:
    assert list_messages(endpoint_workers.every_worker, FOUR, spread("a", "b", "c", "d")) == []
    (finding,) = run_check(endpoint_workers.every_worker, FOUR, spread("a", "b", "d"))
    assert (str(finding.outcome), finding.message) == ("fail", "3 of 4 workers answered 48 requests")
    assert finding.evidence == {"answered": ["a", "b", "d"]}


def test_a_worker_that_chance_left_out_is_no_failure() -> None:
    reason = get_skip_reason(endpoint_workers.every_worker, FOUR, spread("a", "b", "d", requests=24))
    assert reason.endswith("too few to tell: --requests 40")


def test_prefill_workers_are_not_expected_to_decode() -> None:
    split = ready(workers={"prefill": 3, "decode": 2})
    assert list_messages(endpoint_workers.every_worker, split, spread("a", "b")) == []


def test_an_encoder_answers_no_request() -> None:
    assert "one worker of each" in get_skip_reason(
        endpoint_workers.every_worker,
        ready(workers={"encode": 1, "prefill": 1, "aggregated": 1}),
        spread("a"),
    )


def test_every_prefill_worker_must_answer_where_the_metrics_tell() -> None:
    split = ready(workers={"prefill": 2, "decode": 2})
    served = (ServingWorker("a", "decode"), ServingWorker("b", "decode"), ServingWorker("p", "prefill"))
    (finding,) = run_check(endpoint_workers.every_worker, split, Spread(replies=(GOOD,) * 48, served=served))
    assert finding.message == "1 of 2 prefill workers answered 48 requests"


def test_metrics_that_name_no_worker_tell_nothing() -> None:
    assert "do not tell which" in get_skip_reason(endpoint_workers.every_worker, FOUR, spread())


# endpoint.replicas


def asking(**replicas: int) -> Address:
    return Address(url="http://x", deployment="ns/g", replicas=replicas)


def test_fewer_workers_than_the_graph_asks_for() -> None:
    def judged(address: Address, **workers: int) -> list[str]:
        return [
            message
            for _, message in list_messages(endpoint_workers.replicas, address, ready(workers=workers))
        ]

    assert judged(asking(frontend=2, worker=4), aggregated=4) == []
    assert judged(asking(worker=4), aggregated=6) == []  # others share its namespace
    assert judged(asking(worker=4), aggregated=1) == [
        "the graph asks for 4 workers, and the frontend knows 1"
    ]
    assert judged(asking(prefill=2, decode=1), prefill=1, decode=1) == [
        "the graph asks for 2 prefill workers, and the frontend knows 1"
    ]
    assert judged(asking(worker=2), aggregated=1, encode=1) == []  # v1beta1 has no type for encoders


def test_what_the_frontend_does_not_say_is_not_missed() -> None:
    assert "URL" in get_skip_reason(endpoint_workers.replicas, URL, FOUR)
    assert "does not say" in get_skip_reason(endpoint_workers.replicas, asking(worker=2), ready())
    two = ready(workers={"aggregated": 1}, listed=("m", "other"))
    assert "several models" in get_skip_reason(endpoint_workers.replicas, asking(worker=2), two)


# endpoint.disaggregated

SPLIT = ready(workers={"prefill": 1, "decode": 1})


@pytest.mark.parametrize(
    ("phases", "idle"),
    [
        ({"prefill": 24, "decode": 24}, []),
        ({"decode": 24}, ["prefill"]),
        ({"aggregated": 24}, ["prefill"]),
        ({"prefill": 24}, ["decode"]),
    ],
)
def test_prefill_and_decode_both_serve(phases: dict[str, int], idle: list[str]) -> None:
    findings = run_check(endpoint_workers.disaggregated, URL, SPLIT, spread(phases=phases))
    assert [f.message.split()[-2] for f in findings] == idle
    assert {str(f.outcome) for f in findings} <= {"fail"}


def test_a_graph_that_has_a_prefill_worker_expects_it_to_serve() -> None:
    graph = Address(url="http://x", deployment="ns/g", replicas={"decode": 1, "frontend": 1, "prefill": 1})
    findings = run_check(endpoint_workers.disaggregated, graph, ready(), spread(phases={"aggregated": 9}))
    assert len(findings) == 1


def test_without_metrics_nothing_is_said_of_workers() -> None:
    blind = spread(metrics="/metrics: HTTP 404")
    assert "HTTP 404" in get_skip_reason(endpoint_workers.every_worker, FOUR, blind)
    assert "HTTP 404" in get_skip_reason(endpoint_workers.disaggregated, URL, SPLIT, blind)
    assert "HTTP 404" in get_skip_reason(endpoint_workers.kv_routing, blind, prefix(0))


# endpoint.kv-routing, endpoint.prefix-cache


def test_a_router_without_events_or_hits_is_blind() -> None:
    def judged(**more: Any) -> list[str]:
        known = prefix(0, block=64, **more)
        return [m for _, m in list_messages(endpoint_workers.kv_routing, spread(kv_routed=24), known)]

    assert judged(kv_events=9, hit_rate=0.9) == []
    assert "no event of any worker's cache" in judged(kv_events=0, hit_rate=0.0)[0]
    assert "nowhere in the caches" in judged(kv_events=9, hit_rate=0.0)[0]
    assert "does not route by caches" in get_skip_reason(
        endpoint_workers.kv_routing, spread(), prefix(0, block=64)
    )


def test_a_prompt_shorter_than_two_blocks_tells_nothing_of_caches() -> None:
    large = prefix(0, block=800, kv_events=0)
    assert "shorter than two blocks" in get_skip_reason(
        endpoint_workers.kv_routing, spread(kv_routed=24), large
    )
    assert "shorter than two blocks" in get_skip_reason(endpoint_workers.prefix_cache, ready(), large)


def test_a_repeated_prompt_comes_from_the_cache() -> None:
    assert list_messages(endpoint_workers.prefix_cache, ready(), prefix(0, 960, 960)) == []
    ((outcome, message),) = list_messages(endpoint_workers.prefix_cache, ready(), prefix(0, 16, 0))
    assert (outcome, "16 came from the cache at most" in message) == ("warn", True)
    assert "does not say" in get_skip_reason(endpoint_workers.prefix_cache, ready(), prefix(None, None))
    assert "prefill is apart" in get_skip_reason(endpoint_workers.prefix_cache, SPLIT, prefix(0, 0))


# endpoint.kv-room


def test_only_a_prompt_that_failed_tells_of_too_little_room() -> None:
    held = ready(context=2048)
    assert list_messages(endpoint_workers.kv_room, held, Brim(room=4096)) == []
    assert list_messages(endpoint_workers.kv_room, held, Brim(room=1280, tokens=1664, reply=GOOD)) == []
    ((outcome, message),) = list_messages(
        endpoint_workers.kv_room, held, Brim(room=1280, tokens=1664, reply=LOST)
    )
    assert (outcome, "room for 1280" in message) == ("fail", True)
    assert "how large" in get_skip_reason(endpoint_workers.kv_room, held, Brim())


# endpoint.ready and its like


def test_a_slow_first_request_is_warned_of() -> None:
    assert list_messages(serving.cold_start, ready(first_s=29.0, usual_s=1.0)) == []
    ((outcome, message),) = list_messages(serving.cold_start, ready(first_s=42.0, usual_s=0.5))
    assert (outcome, message) == ("warn", "the first answer took 42 s, the third 0.5 s")
    assert get_skip_reason(serving.cold_start, ready(stage="list"))


def test_a_model_that_answers_and_is_not_listed() -> None:
    assert list_messages(serving.listed, ready(first_s=1.0)) == []
    assert list_messages(serving.listed, ready(first_s=1.0, listed=()))[0][0] == "warn"
    assert get_skip_reason(serving.listed, ready(stage="list", listed=()))


def test_what_waiting_cannot_mend_is_told_without_the_time() -> None:
    refused = RequestFailure("http-4xx", "HTTP 401: who are you?", status=401)
    waited = ready(stage="list", waited_s=0.1, said="/v1/models: HTTP 401: who are you?", trouble=refused)
    (finding,) = run_check(serving.ready, waited)
    assert finding.message == "/v1/models: HTTP 401: who are you?"
    tls = ready(stage="connect", waited_s=0.1, trouble=RequestFailure("tls", "self-signed certificate"))
    assert run_check(serving.ready, tls)[0].fix == "trust its authority: --ca-file FILE"


# endpoint.too-long, endpoint.cancelled, endpoint.answers


def refused(**more: Any) -> Refusals:
    no = Reply(seconds=0.1, status=400, trouble=RequestFailure("http-4xx", "HTTP 400: no", status=400))
    given = {"unknown_model": no, "unknown_model_stream": no, "bad_json": no, "after": GOOD}
    return Refusals(**{**given, **more})


def test_a_context_that_is_longer_than_it_says_is_no_lie() -> None:
    held = refused(too_long=GOOD, too_long_stream=GOOD, words=900)
    assert list_messages(error_handling.too_long, held) == []
    cut = refused(too_long=GOOD, too_long_stream=GOOD, words=2000)
    assert [outcome for outcome, _ in list_messages(error_handling.too_long, cut)] == ["fail", "fail"]
    assert get_skip_reason(error_handling.too_long, refused(untried="not known")) == "not known"


def test_a_prompt_that_is_never_answered_is_not_refused() -> None:
    hangs = Reply(seconds=60, trouble=RequestFailure("timeout", "nothing for 60 s", "first-byte"))
    ((outcome, message), _) = list_messages(
        error_handling.too_long, refused(too_long=hangs, too_long_stream=hangs, words=900)
    )
    assert (outcome, "never answered" in message) == ("fail", True)


def test_a_server_that_a_broken_stream_costs() -> None:
    held = Cancellation(stopped=True, broken=GOOD, after=GOOD)
    assert list_messages(error_handling.cancelled, held) == []
    lost = Cancellation(stopped=True, broken=GOOD, after=LOST)
    assert list_messages(error_handling.cancelled, lost)[0][0] == "fail"
    over = Cancellation(stopped=False, broken=GOOD, after=GOOD)
    assert "before it could be broken off" in get_skip_reason(error_handling.cancelled, over)


def test_reasoning_is_an_answer_too() -> None:
    thinking = Reply(seconds=1, model="m", completion_tokens=16, reasoning=80, chunks=16)
    answers = Answers(model="m", asked_tokens=16, chat=thinking, chat_stream=thinking)
    assert list_messages(serving.endpoint_answers, answers) == []
