"""`dynocheck smoke` on servers that are almost right: each deviation is found, and by its own check."""

import json
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dynocheck.simulated import SimulatedEngine, serve
from tests.command import usage_error
from tests.smoke.asking import bad, failure, smoke
from tests.smoke.lying import ProxiedCall, serve_lies, serve_proxy


def test_the_honest_engine_is_fit_and_named_as_simulated() -> None:
    with serve(SimulatedEngine(token_s=0.001, prefill_s=0.0001)) as url:
        ended = smoke(url)
    assert (ended.code, bad(ended)) == (0, {})
    assert ended.report["target"]["engine"] == "simulated: no model, no GPU"
    passed = [check for check, outcome in ended.outcomes.items() if outcome == "pass"]
    assert {"endpoint.too-long", "endpoint.prefix-cache", "endpoint.cancelled", "endpoint.usage"} <= {*passed}


def completions(change: Callable[[ProxiedCall], None]) -> Callable[[ProxiedCall], None]:
    """The change, of good answers to requests for a completion."""
    return lambda call: change(call) if call.path.endswith("completions") and call.status == 200 else None


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[ProxiedCall], None]:
    return completions(lambda call: call.edit(change))


def streams(change: Callable[[bytes], bytes]) -> Callable[[ProxiedCall], None]:
    def spoil(call: ProxiedCall) -> None:
        if call.streamed:
            call.body = change(call.body)

    return completions(spoil)


def renamed(content: dict[str, Any]) -> None:
    content["model"] = "somebody-else"


def uncounted(content: dict[str, Any]) -> None:
    content.pop("usage", None)


def counted(**usage: Any) -> Callable[[dict[str, Any]], None]:
    """Other numbers where the server counts at all."""
    return lambda content: (content.get("usage") or {}).update(usage)


def mute(content: dict[str, Any]) -> None:
    for choice in content["choices"]:
        for said in ("message", "delta"):
            if choice.get(said):
                choice[said]["content"] = None
        if "text" in choice:
            choice["text"] = ""


def no_done(body: bytes) -> bytes:
    return body.replace(b"data: [DONE]\n\n", b"")


def broken_inside(body: bytes) -> bytes:
    head, _, _ = body.partition(b"\n\n")
    return head + b'\n\ndata: {"error": {"message": "worker lost", "code": 503}}\n\ndata: [DONE]\n\n'


def at_once(body: bytes) -> bytes:
    """As a proxy makes it that puts the chunks of an answer together."""
    texts = []
    events = [json.loads(e[6:]) for e in body.split(b"\n\n") if e.startswith(b"data: {")]
    for event in events:
        for choice in event["choices"]:
            texts.append(choice.get("text") or (choice.get("delta") or {}).get("content") or "")
    whole = [events[0], *events[-2:]]
    choice = whole[0]["choices"][0]
    if "delta" in choice:
        choice["delta"]["content"] = "".join(texts)
    else:
        choice["text"] = "".join(texts)
    return b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in whole) + b"data: [DONE]\n\n"


def now_and_then(call: ProxiedCall) -> None:
    if call.number > 20 and call.number % 5 == 0:
        call.status, call.body = 404, b'{"message": "Model not found", "code": 404}'


def say(call: ProxiedCall, said: dict[str, Any], **more: Any) -> None:
    """Answer with one choice, as a stream if that was asked for."""
    choice = {"index": 0, "finish_reason": "stop", **said}
    whole = json.dumps({"model": call.asked["model"], "choices": [choice], **more}).encode()
    call.status, call.body = 200, b"data: " + whole + b"\n\ndata: [DONE]\n\n" if call.streamed else whole
    call.kind = "text/event-stream" if call.streamed else call.kind


def say_yes(call: ProxiedCall, **more: Any) -> None:
    yes = {"role": "assistant", "content": "yes"}
    say(call, {"delta": yes} if call.streamed else {"message": yes}, **more)


def any_name(call: ProxiedCall) -> None:
    if call.status == 404 and call.path == "/v1/chat/completions":
        say_yes(call)


def cuts(call: ProxiedCall) -> None:
    """Answers a prompt that is too long, of which it has read the last part."""
    if call.status == 400 and "max_tokens" in call.asked:
        say_yes(call, usage={"prompt_tokens": 2047, "completion_tokens": 1})


def five_hundred(call: ProxiedCall) -> None:
    if call.status == 400 and not call.asked:
        call.status, call.body = 500, b"Internal Server Error"


def dies_of_it(call: ProxiedCall) -> None:
    if call.number > 10:
        call.status, call.body = 503, b'{"error": "engine is dead"}'


def ended_as(reason: str) -> Callable[[dict[str, Any]], None]:
    def end(content: dict[str, Any]) -> None:
        for choice in content["choices"]:
            choice["finish_reason"] = choice["finish_reason"] and reason

    return end


def overflown(content: dict[str, Any]) -> None:
    for choice in content["choices"]:
        for said in ("message", "delta"):
            if (choice.get(said) or {}).get("content"):
                choice[said]["content"] = "!" * len(choice[said]["content"])


def marked(content: dict[str, Any]) -> None:
    for choice in content["choices"]:
        if "message" in choice:
            choice["message"]["content"] = "<|channel|>analysis<|message|>The user wants"


def silent(call: ProxiedCall) -> None:
    """Ends each text completion at once, as a model may that learnt to chat."""
    if call.path == "/v1/completions" and call.status == 200:
        say(call, {"text": ""}, usage={"prompt_tokens": 12, "completion_tokens": 1})


LIES: dict[str, tuple[Callable[[ProxiedCall], None], str, str]] = {
    "another name": (edited(renamed), "endpoint.model-name", "warn"),
    "no usage": (edited(uncounted), "endpoint.usage", "warn"),
    "usage of nothing": (edited(counted(completion_tokens=0)), "endpoint.usage", "fail"),
    "more than max_tokens": (edited(counted(completion_tokens=17)), "endpoint.max-tokens", "fail"),
    "no cache": (
        edited(counted(prompt_tokens_details={"cached_tokens": 0})),
        "endpoint.prefix-cache",
        "warn",
    ),
    "no content": (edited(mute), "endpoint.answers", "warn"),
    "no end": (streams(no_done), "endpoint.answers", "fail"),
    "error inside": (streams(broken_inside), "endpoint.answers", "fail"),
    "in one piece": (streams(at_once), "endpoint.streams", "warn"),
    "broken off": (edited(ended_as("abort")), "endpoint.ready", "fail"),
    "overflown": (edited(overflown), "endpoint.answers", "warn"),
    "marked": (edited(marked), "endpoint.answers", "warn"),
    "silent in text": (silent, "endpoint.answers", "warn"),
    "now and then 404": (now_and_then, "endpoint.steady", "fail"),
    "any name": (any_name, "endpoint.unknown-model", "warn"),
    "a prompt is cut": (cuts, "endpoint.too-long", "fail"),
    "500 for bad JSON": (five_hundred, "endpoint.bad-request", "warn"),
    "dead after it": (dies_of_it, "endpoint.serves-on", "fail"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found_by_its_own_check(lie: str) -> None:
    change, check, outcome = LIES[lie]
    with serve_lies(change) as url:
        ended = smoke(url, "--select", check, "--timeout", "5")
    assert ended.outcomes == {check: outcome}


def without(*paths: str) -> Callable[[ProxiedCall], None]:
    """A server that knows no such paths."""

    def refuse(call: ProxiedCall) -> None:
        if call.path in paths:
            call.status, call.body = 404, b'{"message": "Model not found", "code": 404}'

    return refuse


def test_a_server_of_whole_answers_only_is_not_judged_by_its_text_completions() -> None:
    with serve_lies(without("/v1/completions")) as url:
        ended = smoke(url, "--select", "endpoint.answers")
    assert ended.outcomes == {"endpoint.answers": "pass"}


def test_a_proxy_that_holds_streams_back() -> None:
    """This one passes on every chunk as it was, all of them at the end."""
    with serve(SimulatedEngine(token_s=0.01, prefill_s=0.0)) as url, serve_proxy(url) as proxied:
        ended = smoke(proxied, "--select", "endpoint.streams")
        assert ended.outcomes == {"endpoint.streams": "warn"}
        assert smoke(url, "--select", "endpoint.streams").outcomes == {"endpoint.streams": "pass"}


def test_a_model_that_has_no_chat_is_asked_for_text() -> None:
    with serve_lies(without("/v1/chat/completions")) as url:
        ended = smoke(url, "--timeout", "20")
    assert (ended.code, bad(ended)) == (0, {"endpoint.answers": "warn"})
    first, second = ended.findings("endpoint.answers")
    assert "--chat-template" in first["fix"]
    assert "--chat-template" in second["fix"]
    assert ended.outcomes["load.errors"] == "pass"


def test_a_gateway_that_has_no_route_for_the_list_of_models() -> None:
    def completions_only(call: ProxiedCall) -> None:
        if not call.path.endswith("completions"):
            call.status, call.body = 404, b"not found"

    with serve_lies(completions_only) as url:
        named = smoke(url, "--model", "simulated-model", "--timeout", "20")
        assert (named.code, bad(named)) == (0, {"endpoint.listed": "warn"})
        check, finding = failure(smoke(url, "--timeout", "1"))
    assert (check, finding["message"].endswith("/v1/models: HTTP 404: not found")) == ("endpoint.ready", True)


def listing(**more: str) -> Callable[[ProxiedCall], None]:
    """A server that lists one more model: its own, or another like it."""

    def list_two(call: ProxiedCall) -> None:
        if call.path == "/v1/models":
            call.edit(lambda models: models["data"].append({**models["data"][0], **more}))

    return list_two


def test_a_model_that_is_listed_twice_is_one() -> None:
    with serve_lies(listing()) as url:
        assert smoke(url, "--select", "endpoint.ready").outcomes == {"endpoint.ready": "pass"}


# LoRA adapters


def adapters(call: ProxiedCall, *, answers_as: str) -> None:
    listing(id="tuned", parent="simulated-model")(call)
    if call.asked.get("model") == "tuned" and answers_as:
        say_yes(call, model=answers_as)


@pytest.mark.parametrize(
    ("answers_as", "outcome"), [("tuned", "pass"), ("simulated-model", "warn"), ("", "fail")]
)
def test_adapters_answer_under_their_names(answers_as: str, outcome: str) -> None:
    """The last one is listed, and its requests fail."""
    with serve_lies(partial(adapters, answers_as=answers_as)) as url:
        ended = smoke(url, "--select", "endpoint.adapters")
    assert ended.outcomes == {"endpoint.adapters": outcome}
    if outcome == "fail":
        assert failure(ended)[1]["message"].startswith("tuned:")


# Tools and structure, which are asked for


def skilled(
    arguments: str, answer: str, finish: str = "stop", *, knows_strict: bool = True
) -> Callable[[ProxiedCall], None]:
    def answered(call: ProxiedCall) -> None:
        message: dict[str, Any] = {"role": "assistant", "content": answer}
        if call.asked.get("tools"):
            if "strict" in call.asked["tools"][0]["function"] and not knows_strict:
                call.status, call.body = 422, b'{"detail": "Extra inputs are not permitted"}'
                return
            function = {"name": "get_weather", "arguments": arguments}
            call_of = {"id": "1", "type": "function", "index": 0, "function": function}
            message |= {"tool_calls": [call_of]} if arguments else {}
        elif not call.asked.get("response_format"):
            return
        say(call, {"message": message, "finish_reason": finish})

    return answered


GOOD_CALL, GOOD_ANSWER = '{"city": "Paris"}', '{"seat_of_state": "Paris", "lies_at_a_river": true}'


@pytest.mark.parametrize(
    ("server", "outcome"),
    [
        (skilled(GOOD_CALL, GOOD_ANSWER), "pass"),
        (skilled('{"town": "Paris"}', '{"seat_of_state": "Paris"}'), "fail"),
        (skilled("", "Paris has two million people."), "fail"),
        (skilled("{", '{"seat_of_state": "Paris", "lies_at_a_river": "yes"}'), "fail"),
        (skilled('{"city": "Oslo"}', '{"capital": "Paris"}'), "fail"),  # as by a server that ignores it
        (skilled(GOOD_CALL, GOOD_ANSWER, knows_strict=False), "pass"),  # is asked without
        (skilled("", '{"seat_of', "length"), "unknown"),  # an answer that was cut tells nothing
        (skilled(GOOD_CALL, GOOD_ANSWER, "length"), "pass"),
    ],
)
def test_tools_and_structure(server: Callable[[ProxiedCall], None], outcome: str) -> None:
    asked = ("endpoint.tool-call", "endpoint.structured")
    with serve_lies(server) as url:
        ended = smoke(url, "--tools", "--structured", "--select", asked[0], "--select", asked[1])
    assert ended.outcomes == dict.fromkeys(asked, outcome)


# Ways in


def test_a_key_is_sent_and_never_shown(tmp_path: Path) -> None:
    key = "a-very-private-key"

    def guarded(call: ProxiedCall) -> None:
        if call.headers.get("Authorization") != f"Bearer {key}":
            call.status, call.body = 401, b'{"error": {"message": "who are you?"}}'
        elif call.path.endswith("completions"):
            call.status, call.body = 500, json.dumps({"error": f"bad: {call.headers}"}).encode()

    (tmp_path / "key").write_text(key + "\n")
    with serve_lies(guarded) as url:
        ended = smoke(url, "--api-key-env", "KEY", "--timeout", "1", KEY=key)
        assert "HTTP 500" in failure(ended)[1]["message"]
        assert key not in ended.out + ended.err
        assert smoke(url, "--api-key-file", tmp_path / "key", "--timeout", "1").outcomes == ended.outcomes
        check, finding = failure(smoke(url, "--timeout", "30"))
    assert check == "endpoint.ready"
    assert "401" in finding["message"]
    assert finding["fix"] == "give a key that the server accepts: --api-key-env NAME or --api-key-file FILE"


def test_of_several_models_one_must_be_named() -> None:
    with serve_lies(listing(id="another")) as url:
        ended = smoke(url)
        assert ended.code == 2
        assert "simulated-model, another; name one with --model" in ended.err
        ended = smoke(url, "--model", "simulated-model", "--select", "endpoint.ready")
        assert ended.outcomes == {"endpoint.ready": "pass"}


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ended = smoke(f"http://127.0.0.1:{taken.getsockname()[1]}", "--timeout", "1")
    check, finding = failure(ended)
    assert (ended.code, check) == (1, "endpoint.ready")
    assert "/v1/models: connect: connection refused" in finding["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--url", "ftp://x"],
        ["--url", "http://user:word@x"],
        ["--url", "http://x", "--api-key-env", "NOT_THERE"],
        ["--url", "http://x", "--api-key-file", "not/there"],
        ["--url", "https://x", "--ca-file", "not/there"],
        ["--url", "http://x", "graph"],
        ["--url", "http://x", "--via", "gateway"],
        ["--url", "http://x", "--timeout", "0"],
        ["--kubeconfig", "not/there"],
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_asked(arguments: list[str]) -> None:
    assert "word" not in usage_error("smoke", *arguments)
