"""What an endpoint answers to requests that it should serve, and to those that it should refuse."""

from typing import TYPE_CHECKING

from dynocheck import probe
from dynocheck.facts import (
    CAPITAL_SCHEMA,
    CITY_SCHEMA,
    MISSING_PATH_STATUSES,
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
    from dynocheck.serving import Client

_TOKENS = 16
_LONG = 400  # tokens of an answer that is broken off
_BREAK_AFTER = 2  # chunks
_NO_MODEL = "dynocheck-no-such-model"
_THOUGHTS = 1024  # tokens in which a model that thinks first comes to its answer
_REFUSED = (400, 422)


@probe(limit=lambda target, address, readiness: target.estimate_seconds(4))
def answers(target: Target, address: Address, readiness: Readiness) -> Answers:
    async def ask(client: "Client") -> Answers:
        async def once(*, chat: bool, stream: bool) -> Reply:
            asked = make_question(
                readiness.model, "answers", max_tokens=_TOKENS, chat=chat, stream=stream, keep_text=True
            )
            return make_reply(await client.complete(asked, limits=target.limits))

        chat = await once(chat=True, stream=False)
        streamed = await once(chat=True, stream=True)
        text = await once(chat=False, stream=False)
        absent = text.status in MISSING_PATH_STATUSES
        return Answers(
            model=readiness.model,
            asked_tokens=_TOKENS,
            chat=chat,
            chat_stream=streamed,
            text=None if absent else text,
            text_stream=None if absent else await once(chat=False, stream=True),
        )

    return target.send_when_ready(address, readiness, ask)


@probe(limit=lambda target, address, readiness, answers: target.estimate_seconds(7))
def refusals(target: Target, address: Address, readiness: Readiness, answers: Answers) -> Refusals:
    """After the answers, so that a server which falls over is known to have stood before."""
    context = readiness.context
    untried = ""
    if context is None:
        untried = "the server does not say how long its context is"
    elif context > MAX_PROMPT_TOKENS:
        untried = f"its context of {context} tokens is too long to be filled for a test"

    async def ask(client: "Client") -> Refusals:
        async def wrong(stream: bool) -> Reply:
            asked = make_question(_NO_MODEL, "refused", stream=stream, chat=readiness.chat)
            return make_reply(await client.complete(asked, limits=target.limits))

        async def long(stream: bool) -> Reply:
            text = make_prompt("too long", words)
            asked = make_completion(readiness, "", prompt=text, max_tokens=1, stream=stream)
            return make_reply(await client.complete(asked, limits=target.limits))

        words = 0 if untried else (context or 0) + 64
        path = make_completion(readiness, "").path
        broken = await client.post(path, b'{"model": ', limits=target.limits)
        return Refusals(
            unknown_model=await wrong(stream=False),
            unknown_model_stream=await wrong(stream=True),
            bad_json=make_refusal(broken),
            too_long=await long(stream=False) if words else None,
            too_long_stream=await long(stream=True) if words else None,
            words=words,
            untried=untried,
            after=make_reply(
                await client.complete(make_completion(readiness, "refused"), limits=target.limits)
            ),
        )

    return target.send_when_ready(address, readiness, ask)


@probe(limit=lambda target, address, readiness, refusals: target.estimate_seconds(2))
def cancellation(target: Target, address: Address, readiness: Readiness, refusals: Refusals) -> Cancellation:
    async def ask(client: "Client") -> Cancellation:
        long = make_completion(readiness, "cancelled", prompt="Tell me a very long story.", max_tokens=_LONG)
        broken = await client.complete(long, cancel_after_chunks=_BREAK_AFTER, limits=target.limits)
        after = await client.complete(make_completion(readiness, "after"), limits=target.limits)
        return Cancellation(stopped=broken.cancelled, broken=make_reply(broken), after=make_reply(after))

    return target.send_when_ready(address, readiness, ask)


@probe(limit=lambda target, address, readiness: target.estimate_seconds(1 + len(readiness.adapters)))
def adapter_replies(target: Target, address: Address, readiness: Readiness) -> AdapterReplies:
    async def ask(client: "Client") -> AdapterReplies:
        found = []
        for adapter in readiness.adapters:
            asked = make_question(adapter.name, adapter.name, stream=False, chat=readiness.chat)
            found.append(
                AdapterReply(adapter.name, make_reply(await client.complete(asked, limits=target.limits)))
            )
        return AdapterReplies(tuple(found))

    return target.send_when_ready(address, readiness, ask)


@probe(limit=lambda target, address, readiness: target.estimate_seconds(3))
def skills(target: Target, address: Address, readiness: Readiness) -> Skills:
    most = min(_THOUGHTS, (readiness.context or 4 * _THOUGHTS) // 2)

    async def ask(client: "Client") -> Skills:
        async def once(text: str, **more: object) -> Reply:
            asked = make_question(
                readiness.model,
                "",
                prompt=text,
                max_tokens=most,
                stream=False,
                keep_text=True,
                more={"temperature": 0, **more},
            )
            return make_reply(await client.complete(asked, limits=target.limits))

        async def call() -> Reply:
            """Strict, so that the engine holds the model to it; not every server knows the word."""
            asked = "What is the weather in Paris?"
            strict = await once(asked, tools=[_make_tool(strict=True)], tool_choice="required")
            if strict.status not in _REFUSED:
                return strict
            return await once(asked, tools=[_make_tool()], tool_choice="required")

        schema = {"name": "capital", "strict": True, "schema": CAPITAL_SCHEMA}
        return Skills(
            asked_tokens=most,
            tool=await call() if target.tools else None,
            structured=await once(
                "Name the capital of France, as JSON.",
                response_format={"type": "json_schema", "json_schema": schema},
            )
            if target.structured
            else None,
        )

    return target.send_when_ready(address, readiness, ask)


def _make_tool(**more: object) -> dict[str, object]:
    function = {
        "name": TOOL_NAME,
        "description": "The weather in a city now",
        "parameters": CITY_SCHEMA,
        **more,
    }
    return {"type": "function", "function": function}
