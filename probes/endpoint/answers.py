"""Sends requests that an endpoint should serve, and requests that it should reject."""

from typing import TYPE_CHECKING

from dynocheck import probe
from dynocheck.facts import (
    CAPITAL_SCHEMA,
    CITY_SCHEMA,
    MISSING_PATH_STATUSES,
    REJECTED_STATUSES,
    TOOL_NAME,
    AdapterReplies,
    AdapterReply,
    Address,
    Answers,
    Cancellation,
    Readiness,
    Refusals,
    Reply,
    Skills,
)
from dynocheck.probes.endpoint._client import (
    MAX_PROMPT_TOKENS,
    Target,
    make_completion,
    make_prompt,
    make_question,
    make_refusal,
    make_reply,
)

if TYPE_CHECKING:
    from dynocheck.serving import Client, CompletionRequest

_TOKENS = 16
_LONG = 400  # tokens of an answer that is cancelled
_CANCEL_AFTER = 2  # chunks
_NO_MODEL = "dynocheck-no-such-model"
_MAX_REASONING = 1024  # tokens for a reasoning model to reach its answer


@probe(limit=lambda target, address, readiness: target.estimate_seconds(4))
def answers(target: Target, address: Address, readiness: Readiness) -> Answers:
    async def send(client: "Client") -> Answers:
        async def complete(*, chat: bool, stream: bool) -> Reply:
            request = make_question(
                readiness.model, "answers", max_tokens=_TOKENS, chat=chat, stream=stream, keep_text=True
            )
            return make_reply(await target.complete(client, request))

        chat = await complete(chat=True, stream=False)
        streamed = await complete(chat=True, stream=True)
        text = await complete(chat=False, stream=False)
        missing = text.status in MISSING_PATH_STATUSES
        return Answers(
            model=readiness.model,
            asked_tokens=_TOKENS,
            chat=chat,
            chat_stream=streamed,
            text=None if missing else text,
            text_stream=None if missing else await complete(chat=False, stream=True),
        )

    return target.send_when_ready(address, readiness, send)


@probe(limit=lambda target, address, readiness, answers: target.estimate_seconds(7))
def refusals(target: Target, address: Address, readiness: Readiness, answers: Answers) -> Refusals:
    """Runs after `answers`, to find a server that fails only after an invalid request."""
    context = readiness.context
    untried = ""
    if context is None:
        untried = "the server does not report its context length"
    elif context > MAX_PROMPT_TOKENS:
        untried = f"its context of {context} tokens is too long for a test"

    async def send(client: "Client") -> Refusals:
        async def complete(request: "CompletionRequest") -> Reply:
            return make_reply(await target.complete(client, request))

        async def send_unknown_model(stream: bool) -> Reply:
            return await complete(make_question(_NO_MODEL, "refused", stream=stream, chat=readiness.chat))

        async def send_too_long(stream: bool) -> Reply | None:
            prompt = make_prompt("too long", words)
            request = make_completion(readiness, "", prompt=prompt, max_tokens=1, stream=stream)
            return await complete(request) if words else None

        words = 0 if untried else (context or 0) + 64
        path = make_completion(readiness, "").path
        bad_json = await client.post(path, b'{"model": ', limits=target.limits)
        return Refusals(
            unknown_model=await send_unknown_model(stream=False),
            unknown_model_stream=await send_unknown_model(stream=True),
            bad_json=make_refusal(bad_json),
            too_long=await send_too_long(stream=False),
            too_long_stream=await send_too_long(stream=True),
            words=words,
            untried=untried,
            after=await complete(make_completion(readiness, "refused")),
        )

    return target.send_when_ready(address, readiness, send)


@probe(limit=lambda target, address, readiness, refusals: target.estimate_seconds(2))
def cancellation(target: Target, address: Address, readiness: Readiness, refusals: Refusals) -> Cancellation:
    max_tokens = min(_LONG, (readiness.context or 2 * _LONG) // 2)

    async def send(client: "Client") -> Cancellation:
        story = "Tell me a very long story."
        long = make_completion(readiness, "cancelled", prompt=story, max_tokens=max_tokens)
        cancelled = await target.complete(client, long, _CANCEL_AFTER)
        after = await target.complete(client, make_completion(readiness, "after"))
        return Cancellation(
            stopped=cancelled.cancelled, broken=make_reply(cancelled), after=make_reply(after)
        )

    return target.send_when_ready(address, readiness, send)


@probe(limit=lambda target, address, readiness: target.estimate_seconds(1 + len(readiness.adapters)))
def adapter_replies(target: Target, address: Address, readiness: Readiness) -> AdapterReplies:
    async def send(client: "Client") -> AdapterReplies:
        replies = []
        for adapter in readiness.adapters:
            request = make_question(adapter.name, adapter.name, stream=False, chat=readiness.chat)
            reply = make_reply(await target.complete(client, request))
            replies.append(AdapterReply(adapter.name, reply))
        return AdapterReplies(tuple(replies))

    return target.send_when_ready(address, readiness, send)


@probe(limit=lambda target, address, readiness: target.estimate_seconds(3))
def skills(target: Target, address: Address, readiness: Readiness) -> Skills:
    max_tokens = min(_MAX_REASONING, (readiness.context or 4 * _MAX_REASONING) // 2)

    async def send(client: "Client") -> Skills:
        async def complete(text: str, **more: object) -> Reply:
            request = make_question(
                readiness.model,
                "",
                prompt=text,
                max_tokens=max_tokens,
                stream=False,
                keep_text=True,
                more={"temperature": 0, **more},
            )
            return make_reply(await target.complete(client, request))

        async def call_tool() -> Reply:
            """Request a strict tool call, which the engine enforces, or a plain one if that is rejected."""
            prompt = "What is the weather in Paris?"
            strict = await complete(prompt, tools=[_make_tool(strict=True)], tool_choice="required")
            if strict.status not in REJECTED_STATUSES:
                return strict
            return await complete(prompt, tools=[_make_tool()], tool_choice="required")

        schema = {"name": "capital", "strict": True, "schema": CAPITAL_SCHEMA}
        return Skills(
            asked_tokens=max_tokens,
            tool=await call_tool() if target.tools else None,
            structured=await complete(
                "Name the capital of France, as JSON.",
                response_format={"type": "json_schema", "json_schema": schema},
            )
            if target.structured
            else None,
        )

    return target.send_when_ready(address, readiness, send)


def _make_tool(**more: object) -> dict[str, object]:
    function = {
        "name": TOOL_NAME,
        "description": "The weather in a city now",
        "parameters": CITY_SCHEMA,
        **more,
    }
    return {"type": "function", "function": function}
