"""Whether an endpoint refuses what it cannot serve, and serves on after it."""

from collections.abc import Iterator
from typing import Any

import msgspec

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.facts.endpoint.answers import (
    CAPITAL_SCHEMA,
    CITY_SCHEMA,
    TOOL_NAME,
    Cancellation,
    Refusals,
    Reply,
    Skills,
)

_LOGS = "kubectl logs -l nvidia.com/dynamo-component-type=frontend"


@check("endpoint.unknown-model", title="A model that is not served is refused")
def unknown_model(refusals: Refusals) -> Iterator[Finding]:
    """A server that answers any name hides a wrong configuration: requests for another model are served by
    this one. The refusal is a status of 4xx, so that clients do not try again.

    Fix: name the model in the request as /v1/models has it; put a gateway that checks names before the
    server.
    """
    for name, reply in (("chat", refusals.unknown_model), ("streamed chat", refusals.unknown_model_stream)):
        if reply.ok:
            yield warn(
                f"{name}: a model of another name is answered, as llama.cpp does",
                fix="let a gateway check the names of models",
            )
        else:
            yield from _check_refusal(name, reply)


@check("endpoint.bad-request", title="A request that is no JSON is refused")
def bad_request(refusals: Refusals) -> Iterator[Finding]:
    """A client's mistake is told by a status of 4xx. With 5xx clients and gateways try again and count the
    server as broken.

    Fix: a newer release of the server.
    """
    if refusals.bad_json.ok:
        yield fail("half a JSON object is answered with 200", fix=_LOGS)
    else:
        yield from _check_refusal("half a JSON object", refusals.bad_json)


@check("endpoint.too-long", title="A prompt that is longer than the context is refused")
def too_long(refusals: Refusals) -> Iterator[Finding]:
    """The refusal should be a status of 4xx. Dynamo's frontend passes on what its worker made of it: 500 as
    a whole, and as a stream 200 with an error in it. Clients then try again, and what watches the error
    rate sees a server in trouble. A prompt that is cut without a word is answered wrongly.

    Fix: limit the length of prompts before the server, below its --max-model-len.
    """
    if refusals.untried or refusals.too_long is None or refusals.too_long_stream is None:
        raise Skip(refusals.untried or "not tried")
    for name, reply in (("chat", refusals.too_long), ("streamed chat", refusals.too_long_stream)):
        if not reply.ok:
            yield from _check_refusal(f"{name} of {refusals.words} words", reply)
        elif reply.prompt_tokens is not None and reply.prompt_tokens >= refusals.words:
            continue  # its context is longer than it says
        else:
            yield fail(
                f"{name}: a prompt of {refusals.words} words is answered, of which "
                f"{reply.prompt_tokens or 'an unknown number of'} tokens were read: it was cut",
                fix="limit the length of prompts before the server",
            )


@check("endpoint.serves-on", title="The server serves on after requests that it refused")
def serves_on(refusals: Refusals) -> Iterator[Finding]:
    """One bad request must not cost the others their server: some engines die of a prompt that is too long.

    Fix: a newer release of the engine.
    """
    if refusals.after.trouble is not None:
        yield fail(
            f"the request after the refused ones: {refusals.after.trouble}",
            fix="kubectl get pods   # did a worker restart?",
        )


@check("endpoint.cancelled", title="The server serves on after a stream was broken off")
def cancelled(cancellation: Cancellation) -> Iterator[Finding]:
    """People close windows. An engine that is not told goes on generating for nobody, or loses its place.

    Fix: a newer release of the engine or of the gateway before it.
    """
    if cancellation.after.trouble is not None:
        yield fail(
            f"the request after a stream that was broken off: {cancellation.after.trouble}",
            fix="kubectl get pods   # did a worker restart?",
        )
    elif cancellation.broken.trouble is not None:
        yield fail(f"the stream that was to be broken off: {cancellation.broken.trouble}", fix=_LOGS)
    elif not cancellation.stopped:
        raise Skip("the answer was over before it could be broken off")


@check("endpoint.tool-call", title="The model calls a tool when it must")
def tool_call(skills: Skills) -> Iterator[Finding]:
    """With `tool_choice: required` an answer without a call breaks agents. Servers without a parser for the
    model's way of calling return it as text.

    Fix: give the worker --tool-call-parser, or in Dynamo --dyn-tool-call-parser, of the model's family.
    """
    reply = skills.tool
    if reply is None:
        raise Skip("asked with --tools")
    fix = "--dyn-tool-call-parser NAME, of the model's family; --tool-call-parser where there is no Dynamo"
    if reply.trouble is not None:
        yield fail(f"a request with a tool: {reply.trouble}", fix=fix)
    elif reply.calls:
        yield from _check_call(*reply.calls[0])
    elif reply.finish_reason == "length":
        yield _report_cut(skills.asked_tokens, "it called the tool", reply)
    else:
        yield fail(
            "the tool that must be called is not: the answer is text",
            fix=fix,
            evidence={"answer": reply.opening},
        )


def _check_call(name: str, arguments: str) -> Iterator[Finding]:
    if name != TOOL_NAME:
        yield fail(f"a tool named {name!r} is called, which was not offered")
    elif not _matches_schema(CITY_SCHEMA, arguments):
        yield fail(
            "the tool is called with arguments that do not follow its schema",
            evidence={"arguments": arguments[:200]},
        )


@check("endpoint.structured", title="An answer follows the JSON schema that was asked for")
def structured(skills: Skills) -> Iterator[Finding]:
    """With `response_format: json_schema` programs parse the answer. Some servers take the field and ignore
    it. So the schema has names that no model would choose by itself.

    Fix: start the engine with a backend for guided decoding (vLLM: --structured-outputs-config).
    """
    reply = skills.structured
    if reply is None:
        raise Skip("asked with --structured")
    if reply.trouble is not None:
        yield fail(f"a request with a JSON schema: {reply.trouble}")
    elif _matches_schema(CAPITAL_SCHEMA, reply.opening):
        return
    elif reply.finish_reason == "length":
        yield _report_cut(skills.asked_tokens, "its JSON was complete", reply)
    else:
        yield fail(
            "the answer does not follow the JSON schema that was asked for",
            evidence={"answer": reply.opening},
        )


def _matches_schema(schema: dict[str, Any], text: str) -> bool:
    """Whether this is JSON of one of our schemas: an object of fields that are all required."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    fields = schema["properties"]
    return (
        isinstance(found, dict)
        and found.keys() == fields.keys()
        and all(
            found[name] in field["enum"] if "enum" in field else isinstance(found[name], bool)
            for name, field in fields.items()
        )
    )


def _report_cut(tokens: int, before: str, reply: Reply) -> Finding:
    """A model that thinks for long, or that is at a loss: no fault of the server is seen."""
    return unknown(
        f"the answer was cut after {tokens} tokens, before {before}",
        fix="is it a model that thinks first? ask it yourself, with more tokens",
        evidence={"answer": reply.opening, "thoughts": reply.reasoning},
    )


def _check_refusal(what: str, reply: Reply) -> Iterator[Finding]:
    """How clean a refusal is."""
    trouble = reply.trouble
    assert trouble is not None
    seen = {"class": trouble.kind, "status": reply.status}
    if trouble.kind == "http-4xx":
        return
    if trouble.kind in ("http-5xx", "in-stream-error"):
        how = "with an error inside a stream of status 200" if reply.status == 200 else f"with {reply.status}"
        yield warn(
            f"{what}: refused {how}, as if the server had failed: {trouble.message}",
            fix="let clients not try again; check requests before the server",
            evidence=seen,
        )
    elif trouble.is_busy:
        yield warn(f"{what}: the server is overloaded: {trouble.message}", evidence=seen)
    else:
        yield fail(f"{what}: not refused: {trouble}", fix=_LOGS, evidence=seen)
