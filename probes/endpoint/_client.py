"""Asking the endpoint of a run: who asks, with what patience, and what is kept of an answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from dynocheck.facts import Address, Readiness, Reply, RequestFailure, Unavailable

if TYPE_CHECKING:  # with asyncio they take 60 ms, which a run that asks no endpoint does not pay
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

MAX_PROMPT_TOKENS = 1 << 18  # tokens of a prompt that is tried: who takes them after all computes them
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
    """What a long wait is for, to be shown while it lasts."""

    def __init__(self) -> None:
        self.text = ""

    def show(self, text: str) -> None:
        self.text = text


@dataclass(frozen=True)
class Target:
    """The endpoint that a run is about, and how long to be patient with it.

    :param reach: makes of an address what can be asked, credentials included.
    :param model: the model to ask for; the only one that is listed when not given.
    :param budget_s: seconds until it must be ready.
    :param request_s: seconds that one request may take once it is.
    :param requests: how many short requests tell whether it serves steadily.
    :param tools: whether the model is to call a tool.
    :param structured: whether it is to answer in JSON of a schema.
    """

    reach: "Callable[[Address], Endpoint]" = field(repr=False)
    model: str | None = None
    budget_s: float = 300.0
    request_s: float = 60.0
    requests: int = 24
    tools: bool = False
    structured: bool = False
    waiting: WaitStatus = field(default_factory=WaitStatus, repr=False)

    def send(self, address: Address, questions: "Callable[[Client], Awaitable[T]]") -> T:
        """What comes of asking these questions."""
        import asyncio

        from dynocheck.serving import Client

        async def asked() -> T:
            async with Client(self.reach(address)) as client:
                return await questions(client)

        return asyncio.run(asked())

    def send_when_ready(
        self, address: Address, readiness: Readiness, questions: "Callable[[Client], Awaitable[T]]"
    ) -> T:
        """The same, of an endpoint that is ready.

        :raises Unavailable: it is not.
        """
        if not readiness.ready:
            raise Unavailable(f"not asked, for it never became ready: {readiness.said}")
        return self.send(address, questions)

    @property
    def limits(self) -> "ExchangeLimits":
        return make_limits(self.request_s)

    def estimate_seconds(self, requests: int) -> float:
        """The seconds that so many requests one after another may take."""
        return requests * self.request_s


def make_limits(seconds: float) -> "ExchangeLimits":
    """That no phase of a request takes longer than this."""
    from dynocheck.serving import ExchangeLimits

    return ExchangeLimits(
        connect_s=min(seconds, 5.0),
        tls_s=min(seconds, 5.0),
        first_byte_s=round(seconds, 2),
        idle_s=round(seconds, 2),
        total_s=round(seconds, 2) + 0.05,  # a first byte that never comes is to be told as that
    )


def make_trouble(failure: "Failure | None") -> RequestFailure | None:
    """The failure as a fact."""
    if failure is None:
        return None
    return RequestFailure(
        str(failure.kind), failure.message, str(failure.phase) if failure.phase else None, failure.status
    )


def make_reply(exchange: "Exchange") -> Reply:
    """What is kept of a completion."""
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
    )


def make_refusal(answer: "EndpointResponse") -> Reply:
    """What is kept of an answer to a request that was no good."""
    return Reply(
        seconds=round(answer.seconds, 6),
        trouble=make_trouble(answer.failure),
        status=answer.status,
        opening=answer.body[:_OPENING].decode("utf-8", "replace"),
    )


def make_prompt(seed: str, words: int = 12) -> str:
    """Words of which a tokenizer makes a token each at least, whose first differ from seed to seed."""
    import hashlib

    number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big")
    lead = (_WORDS[(number >> 4 * place) % len(_WORDS)] for place in range(min(words, 8)))
    rest = (_WORDS[place % len(_WORDS)] for place in range(max(words - 8, 0)))
    return " ".join((*lead, *rest))


def make_completion(readiness: Readiness, seed: str, **more: Any) -> "CompletionRequest":
    """A question to the model, in the way in which it answers."""
    return make_question(readiness.model, seed, **{"chat": readiness.chat, **more})


def make_question(model: str, seed: str, **more: Any) -> "CompletionRequest":
    """A short one, that any model answers."""
    from dynocheck.serving import CompletionRequest

    given = {"prompt": f"Repeat after me: {make_prompt(seed)}", "max_tokens": 8, **more}
    return CompletionRequest(model=model, **given)
