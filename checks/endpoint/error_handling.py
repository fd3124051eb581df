"""Checks how an endpoint handles bad requests, cancelled streams, tool calls and JSON schemas."""

from collections.abc import Iterator
from typing import Any

import msgspec

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.facts import (
    CAPITAL_SCHEMA,
    CITY_SCHEMA,
    TOOL_NAME,
    Cancellation,
    Refusals,
    Reply,
    Server,
    Skills,
)

_UNKNOWN = Server()


@check("endpoint.unknown-model", title="Unknown model names are rejected")
def unknown_model(refusals: Refusals, server: Server | None = None) -> Iterator[Finding]:
    """A server that answers to any model name hides configuration mistakes: requests for another model are
    served by this one. It should reject them with a 4xx status, so that clients do not retry.

    llama.cpp, SGLang, TensorRT-LLM and TGI do so by design, and are not judged.

    Fix: use the model name that /v1/models lists; put a gateway that checks model names in front of the
    server.
    """
    server = server or _UNKNOWN
    if server.answers_any_name and (refusals.unknown_model.ok or refusals.unknown_model_stream.ok):
        raise Skip(f"{server.name} answers to any name; check model names in a gateway")
    for name, reply in (("chat", refusals.unknown_model), ("streamed chat", refusals.unknown_model_stream)):
        if reply.ok:
            yield warn(
                f"{name}: a request for an unknown model is answered",
                fix="check model names in a gateway",
            )
        else:
            yield from _check_refusal(name, reply, server)


@check("endpoint.bad-request", title="Malformed JSON is rejected")
def bad_request(refusals: Refusals, server: Server | None = None) -> Iterator[Finding]:
    """A client error should return a 4xx status. On 5xx, clients and gateways retry and mark the server as
    unhealthy.

    Fix: upgrade the server.
    """
    server = server or _UNKNOWN
    if refusals.bad_json.ok:
        fix = server.suggest_logs(component="frontend")
        yield fail("a truncated JSON body is answered with 200", fix=fix)
    else:
        yield from _check_refusal("a truncated JSON body", refusals.bad_json, server)


@check("endpoint.too-long", title="Prompts longer than the context are rejected")
def too_long(refusals: Refusals, server: Server | None = None) -> Iterator[Finding]:
    """The status should be 4xx. Dynamo's frontend forwards its worker's error: 500 for a plain response, and
    200 with an error event for a stream. Clients then retry, and error-rate alerts fire. A prompt that is
    silently truncated gets a wrong answer.

    Fix: limit prompts in front of the server, below its --max-model-len.
    """
    if refusals.untried or refusals.too_long is None or refusals.too_long_stream is None:
        raise Skip(refusals.untried or "not tried")
    for name, reply in (("chat", refusals.too_long), ("streamed chat", refusals.too_long_stream)):
        if not reply.ok:
            yield from _check_refusal(f"{name} with {refusals.words} words", reply, server or _UNKNOWN)
        elif reply.prompt_tokens is not None and reply.prompt_tokens >= refusals.words:
            continue  # the context is longer than the server reports
        else:
            yield fail(
                f"{name}: a prompt of {refusals.words} words is truncated to "
                f"{reply.prompt_tokens or 'an unknown number of'} tokens and answered",
                fix="limit the length of prompts in front of the server",
            )


@check("endpoint.serves-on", title="Server survives rejected requests")
def serves_on(refusals: Refusals, server: Server | None = None) -> Iterator[Finding]:
    """One bad request must not take the server down for everyone: some engines crash on a prompt that is too
    long.

    Fix: upgrade the engine.
    """
    if refusals.after.trouble is not None:
        yield fail(
            f"the request after the rejected ones failed: {refusals.after.trouble}",
            fix=(server or _UNKNOWN).suggest_logs("did it restart?"),
        )


@check("endpoint.cancelled", title="Server survives a cancelled stream")
def cancelled(cancellation: Cancellation, server: Server | None = None) -> Iterator[Finding]:
    """Users close browser tabs. An engine that does not notice keeps generating, or corrupts its state.

    Fix: upgrade the engine, or the gateway in front of it.
    """
    server = server or _UNKNOWN
    if cancellation.after.trouble is not None:
        yield fail(
            f"the request after a cancelled stream failed: {cancellation.after.trouble}",
            fix=server.suggest_logs("did it restart?"),
        )
    elif cancellation.broken.trouble is not None:
        yield fail(f"the stream to cancel failed: {cancellation.broken.trouble}", fix=server.suggest_logs())
    elif not cancellation.stopped:
        raise Skip("the answer ended before it could be cancelled")


@check("endpoint.tool-call", title="Model calls a required tool")
def tool_call(skills: Skills) -> Iterator[Finding]:
    """With `tool_choice: required`, an answer without a tool call breaks agents. Servers without a parser for
    the model's tool-call format return the call as text.

    Fix: set --tool-call-parser (in Dynamo: --dyn-tool-call-parser) to the parser for the model's family.
    """
    reply = skills.tool
    if reply is None:
        raise Skip("not run; add --tools")
    fix = "--dyn-tool-call-parser NAME, for the model's family; --tool-call-parser without Dynamo"
    if reply.trouble is not None:
        yield fail(f"the request with a tool failed: {reply.trouble}", fix=fix)
    elif reply.calls:
        yield from _check_call(*reply.calls[0])
    elif reply.finish_reason == "length":
        yield _report_cut(skills.asked_tokens, "the tool was called", reply)
    else:
        yield fail(
            "the required tool is not called: the answer is text",
            fix=fix,
            evidence={"answer": reply.opening},
        )


def _check_call(name: str, arguments: str) -> Iterator[Finding]:
    if name != TOOL_NAME:
        yield fail(f"the model called {name!r}, which was not offered")
    elif not _matches_schema(CITY_SCHEMA, arguments):
        yield fail(
            "the tool call's arguments do not match its schema",
            evidence={"arguments": arguments[:200]},
        )


@check("endpoint.structured", title="Structured output follows the JSON schema")
def structured(skills: Skills) -> Iterator[Finding]:
    """With `response_format: json_schema`, programs parse the answer. Some servers accept the field and
    ignore it, so the schema uses field names that no model would choose on its own.

    Fix: start the engine with a guided-decoding backend (vLLM: --structured-outputs-config).
    """
    reply = skills.structured
    if reply is None:
        raise Skip("not run; add --structured")
    if reply.trouble is not None:
        yield fail(f"the request with a JSON schema failed: {reply.trouble}")
    elif _matches_schema(CAPITAL_SCHEMA, reply.opening):
        return
    elif reply.finish_reason == "length":
        yield _report_cut(skills.asked_tokens, "its JSON was complete", reply)
    else:
        yield fail(
            "the answer does not match the requested JSON schema",
            evidence={"answer": reply.opening},
        )


def _matches_schema(schema: dict[str, Any], text: str) -> bool:
    """Whether the text is JSON that matches one of our schemas: an object whose fields are all required."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    fields = schema["properties"]
    return (
        isinstance(value, dict)
        and value.keys() == fields.keys()
        and all(
            value[name] in field["enum"] if "enum" in field else isinstance(value[name], bool)
            for name, field in fields.items()
        )
    )


def _report_cut(tokens: int, before: str, reply: Reply) -> Finding:
    """Unknown, not fail: a model that reasons at length, or cannot solve the task, is no server fault."""
    return unknown(
        f"the answer reached its limit of {tokens} tokens before {before}",
        fix="if this is a reasoning model, try it by hand with more tokens",
        evidence={"answer": reply.opening, "thoughts": reply.reasoning},
    )


def _check_refusal(what: str, reply: Reply, server: Server) -> Iterator[Finding]:
    """Pass a 4xx, warn of a 5xx, an error event or an overloaded server, and fail anything else."""
    trouble = reply.trouble
    assert trouble is not None
    evidence = {"class": trouble.kind, "status": reply.status}
    if trouble.kind == "http-4xx":
        return
    if trouble.kind in ("http-5xx", "in-stream-error"):
        how = (
            "an error event in a stream with status 200" if reply.status == 200 else f"status {reply.status}"
        )
        yield warn(
            f"{what}: rejected with {how}, like a server fault: {trouble.message}",
            fix="turn off client retries; validate requests in front of the server",
            evidence=evidence,
        )
    elif trouble.is_busy:
        yield warn(f"{what}: the server is overloaded: {trouble.message}", evidence=evidence)
    else:
        yield fail(f"{what}: not rejected: {trouble}", fix=server.suggest_logs(), evidence=evidence)
