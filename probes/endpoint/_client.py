"""Sends requests to the endpoint of a run, with time limits, and converts the responses to facts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from dynocheck.facts import REJECTED_STATUSES, Address, Readiness, Reply, RequestFailure

if TYPE_CHECKING:  # importing it takes 60 ms, including asyncio, and only runs with an endpoint need it
    from dynocheck.serving import (
        Client,
        CompletionRequest,
        Endpoint,
        EndpointResponse,
        Exchange,
        ExchangeLimits,
        Failure,
    )

T = TypeVar("T")

MAX_PROMPT_TOKENS = 1 << 18  # of prompts that servers should reject: one that accepts them computes them
_OPENING = 1000  # characters of an answer that are kept
_WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heron",
    "inlet",
    "jetty",
    "knoll",
    "larch",
    "maple",
    "north",
    "ocean",
    "pearl",
]


class WaitStatus:
    """The reason for a long wait, to be shown meanwhile."""

    def __init__(self) -> None:
        self.text = ""

    def show(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True)
class Target:
    """The endpoint of a run, and the time limits for it.

    :param reach: makes an endpoint of an address, with its credentials.
    :param model: served model name (default: the only served model).
    :param budget_s: seconds to wait until it is ready.
    :param request_s: seconds for one request to a ready endpoint.
    :param requests: number of short requests that test whether it serves reliably.
    :param tools: whether to test a tool call.
    :param structured: whether to test an answer in JSON that follows a schema.
    """

    reach: "Callable[[Address], Endpoint]" = field(repr=False)
    model: str | None = None
    budget_s: float = 300.0
    request_s: float = 60.0
    requests: int = 24
    tools: bool = False
    structured: bool = False
    waiting: WaitStatus = field(default_factory=WaitStatus, repr=False)

    def send(self, address: Address, requests: "Callable[[Client], Awaitable[T]]") -> T:
        """Send requests with a client for this address, and return their result."""
        import asyncio

        from dynocheck.serving import Client

        async def run() -> T:
            async with Client(self.reach(address)) as client:
                return await requests(client)

        return asyncio.run(run())

    def send_when_ready(
        self, address: Address, readiness: Readiness, requests: "Callable[[Client], Awaitable[T]]"
    ) -> T:
        """Send requests to a ready endpoint.

        :raises Unavailable: it never became ready.
        """
        readiness.require()
        return self.send(address, requests)

    @property
    def limits(self) -> "ExchangeLimits":
        return make_limits(self.request_s)

    async def complete(
        self, client: "Client", request: "CompletionRequest", cancel_after_chunks: int | None = None
    ) -> "Exchange":
        """Request a completion; a stream that is rejected with a demand for usage is requested without it."""
        from msgspec.structs import replace

        exchange = await client.complete(request, limits=self.limits, cancel_after_chunks=cancel_after_chunks)
        if request.stream and request.usage and exchange.status in REJECTED_STATUSES:
            without = await client.complete(
                replace(request, usage=False), limits=self.limits, cancel_after_chunks=cancel_after_chunks
            )
            if without.failure is None:
                without.usage_rejected = True
                return without
        return exchange

    def estimate_seconds(self, requests: int) -> float:
        """The maximum seconds for this number of consecutive requests."""
        return requests * self.request_s


def make_limits(seconds: float) -> "ExchangeLimits":
    """Limits with which no phase of a request takes longer than this."""
    from dynocheck.serving import ExchangeLimits

    return ExchangeLimits(
        connect_s=min(seconds, 5.0),
        tls_s=min(seconds, 5.0),
        first_byte_s=round(seconds, 2),
        idle_s=round(seconds, 2),
        total_s=round(seconds, 2) + 0.05,  # so that a missing first byte is reported as such
    )


def make_trouble(failure: "Failure | None") -> RequestFailure | None:
    """The failure as a fact."""
    if failure is None:
        return None
    return RequestFailure(
        str(failure.kind), failure.message, str(failure.phase) if failure.phase else None, failure.status
    )


def make_reply(exchange: "Exchange") -> Reply:
    """The reply in a completion's exchange."""
    times, usage = exchange.times, exchange.usage
    first = times.first_content
    return Reply(
        seconds=round((times.ended or times.started) - times.started, 6),
        trouble=make_trouble(exchange.failure),
        status=exchange.status,
        first_s=None if first is None else round(first - times.started, 6),
        model=exchange.model,
        finish_reason=exchange.finish_reason,
        prompt_tokens=usage.prompt if usage else None,
        completion_tokens=usage.completion if usage else None,
        cached_tokens=usage.cached if usage else None,
        chunks=len(times.chunks),
        pieces=len({*times.chunks}),
        content=exchange.content_chars,
        reasoning=exchange.reasoning_chars,
        opening=exchange.text[:_OPENING],
        calls=tuple((call.name, call.arguments) for call in exchange.tools.values()),
        resent=exchange.resent,
        usage_rejected=exchange.usage_rejected,
        odd=usage.odd if usage else (),
    )


def make_refusal(answer: "EndpointResponse") -> Reply:
    """The reply in the response to an invalid request."""
    return Reply(
        seconds=round(answer.seconds, 6),
        trouble=make_trouble(answer.failure),
        status=answer.status,
        opening=answer.body[:_OPENING].decode("utf-8", "replace"),
    )


def make_prompt(seed: str, words: int = 12) -> str:
    """Words of at least one token each; the first ones depend on the seed."""
    import hashlib

    number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big")
    lead = (_WORDS[(number >> 4 * place) % len(_WORDS)] for place in range(min(words, 8)))
    rest = (_WORDS[place % len(_WORDS)] for place in range(max(words - 8, 0)))
    return " ".join((*lead, *rest))


def make_completion(readiness: Readiness, seed: str, **more: Any) -> "CompletionRequest":
    """A short request through the API that the model supports, chat or text completions."""
    return make_question(readiness.model, seed, **{"chat": readiness.chat, **more})


def make_question(model: str, seed: str, **more: Any) -> "CompletionRequest":
    """A short request that any model can answer."""
    from dynocheck.serving import CompletionRequest

    fields = {"prompt": f"Repeat after me: {make_prompt(seed)}", "max_tokens": 8, **more}
    return CompletionRequest(model=model, **fields)
