"""`dynocheck smoke` and `load` on servers of other projects: healthy ones are fit, broken ones are not."""

import json
from typing import Any

import pytest

from dynocheck.simulated import SimulatedEngine
from tests.command import dynocheck
from tests.kube.servers import serve
from tests.serving.asking import GOOD, closing_after_each_answer
from tests.smoke import dialects
from tests.smoke.asking import bad, failure, smoke
from tests.smoke.dialects import NAME, Dialect
from tests.smoke.lying import ProxiedCall, serve_lies

HEALTHY: dict[str, tuple[Dialect, dict[str, str], str]] = {
    "vllm": (dialects.vllm, {}, "vLLM 0.19.0"),
    "sglang": (dialects.sglang, {}, "SGLang"),
    "trtllm": (dialects.trtllm, {}, "TensorRT-LLM"),
    "triton": (dialects.triton, {"endpoint.usage": "warn"}, "Triton"),
    "tgi": (dialects.tgi, {}, "TGI 3.3.6"),
    "llamacpp": (dialects.llamacpp, {}, "llama.cpp b8000-1a2b3c4"),
    "ollama": (dialects.ollama, {}, "Ollama"),
}


@pytest.mark.parametrize("server", HEALTHY)
def test_a_healthy_server_is_fit(server: str) -> None:
    dialect, warnings, said = HEALTHY[server]
    with serve_lies(dialect) as url:
        ended = smoke(url, "--timeout", "10", *(["--model", NAME] if server == "ollama" else []))
    assert (ended.code, bad(ended)) == (0, warnings)
    assert ended.report["target"]["server"] == said


def test_a_server_that_does_not_say_what_it_is_is_judged_by_its_answers() -> None:
    def hide(call: ProxiedCall) -> None:
        dialects.sglang(call)
        dialects.list_as(call, NAME, owned_by="me")

    with serve_lies(hide) as url:
        ended = smoke(url, "--select", "endpoint.ready", "--select", "endpoint.unknown-model")
    assert bad(ended) == {"endpoint.unknown-model": "warn"}
    assert ended.report["target"]["server"].startswith("unknown")


@pytest.mark.parametrize("name", ["tgi", "org/repository"])
def test_a_named_model_is_requested_whether_it_is_listed_or_not(name: str) -> None:
    with serve_lies(dialects.tgi) as url:
        ended = smoke(url, "--model", name, "--select", "endpoint.ready", "--select", "endpoint.listed")
    listed = "pass" if name == "org/repository" else "warn"
    assert ended.outcomes == {"endpoint.ready": "pass", "endpoint.listed": listed}


def test_a_name_that_is_neither_listed_nor_answered() -> None:
    with serve_lies(dialects.vllm) as url:
        check, finding = failure(smoke(url, "--model", "other", "--timeout", "1"))
    assert (check, finding["fix"]) == ("endpoint.ready", f"--model {NAME}")
    assert finding["evidence"]["listed"] == [NAME]


def test_numbers_that_are_no_integers_are_read_and_told() -> None:
    def write_oddly(call: ProxiedCall) -> None:
        dialects.vllm(call)
        if call.path == "/v1/models":
            call.edit(lambda models: models["data"][0].update(max_model_len="2048"))
        elif call.path.endswith("completions") and call.status == 200:
            call.edit(lambda content: count_in_floats(content.get("usage") or {}))

    with serve_lies(write_oddly) as url:
        ended = smoke(url)
    assert (ended.code, bad(ended)) == (0, {"endpoint.listed": "warn", "endpoint.usage": "warn"})
    assert ended.outcomes["endpoint.too-long"] == "pass"  # the context was read


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (256, "This model's maximum context length is {} tokens. However, you requested 700 tokens"),
        (128, "The input (700 tokens) is longer than the model's context length ({} tokens)."),
        (128, "request (700 tokens) exceeds the available context size ({} tokens), try increasing it"),
        (256, "`inputs` tokens + `max_new_tokens` must be <= {}. Given: 700 `inputs` tokens"),
        (128, "the prompt is too long"),
    ],
)
def test_a_small_context_that_is_not_listed_is_learned(context: int, message: str) -> None:
    def keep_silent(call: ProxiedCall) -> None:
        dialects.list_as(call, NAME, owned_by="me")
        if call.status == 400 and call.path.endswith("completions"):
            call.kind = "application/json"
            call.body = json.dumps({"error": {"message": message.format(context)}}).encode()

    with serve_lies(keep_silent, SimulatedEngine(token_s=0.0, prefill_s=0.0, context=context)) as url:
        ended = smoke(url, "--timeout", "10")
    assert (ended.code, bad(ended)) == (0, {})
    assert ended.outcomes["endpoint.too-long"] == "pass"


def count_in_floats(usage: dict[str, Any]) -> None:
    usage |= {name: float(usage[name]) for name in ("prompt_tokens", "completion_tokens") if name in usage}


# Broken ones


def not_loaded(call: ProxiedCall) -> None:
    """/health says 200 and the model is listed, but is not there yet."""
    if call.path.endswith("completions"):
        call.status, call.kind = 503, "application/json"
        call.body = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'


def error_as_200(call: ProxiedCall) -> None:
    if call.path.endswith("completions"):
        call.status, call.kind = 200, "application/json"
        call.body = json.dumps({"error": {"message": "CUDA out of memory"}}).encode()


def cut_off(call: ProxiedCall) -> None:
    """The stream ends in the middle of an event."""
    if call.streamed and call.status == 200:
        call.body = call.body[: len(call.body) // 2]


@pytest.mark.parametrize(
    ("dialect", "fault", "check"),
    [
        (dialects.llamacpp, not_loaded, "endpoint.ready"),
        (dialects.vllm, error_as_200, "endpoint.ready"),
        (dialects.tgi, cut_off, "endpoint.answers"),
        (dialects.triton, cut_off, "endpoint.answers"),
        (dialects.ollama, cut_off, "endpoint.answers"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_broken_server_fails_the_right_check(dialect: Dialect, fault: Dialect, check: str) -> None:
    def spoil(call: ProxiedCall) -> None:
        dialect(call)
        fault(call)

    with serve_lies(spoil) as url:
        ended = smoke(
            url, "--model", NAME, "--timeout", "1", *("--select", "endpoint.ready", "--select", check)
        )
    assert ended.code == 1
    assert [name for name, outcome in ended.outcomes.items() if outcome == "fail"] == [check]
    fixes = [finding.get("fix", "") for finding in ended.findings(check)]
    assert not [fix for fix in fixes if "kubectl" in fix or "ynamo" in fix]


def test_requests_that_were_sent_again_are_counted() -> None:
    load = ("--requests", "8", "--concurrency", "1", "--model", "m")
    with serve(closing_after_each_answer(GOOD)) as server:
        ended = dynocheck("load", "--url", server.url, *load, "-o", "json")
    assert ended.outcomes["load.errors"] == "pass"
    table = next(table for table in ended.report["tables"] if table["id"] == "load.lag")
    assert dict(zip(table["columns"], table["rows"][0], strict=True))["sent again"] == 8
