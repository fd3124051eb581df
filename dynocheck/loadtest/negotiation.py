"""Finds the request fields that a server accepts, with requests that also warm up a cold server."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from dynocheck.core.endpoint_remedies import suggest_remedy
from dynocheck.facts import Unavailable
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.prompts import Prompt, Prompts
from dynocheck.serving import Client, CompletionRequest, Exchange, FailureKind

_COLD = 2  # factor on the time limits of the first request, which may have to wait for compilation
_REJECTED = {400, 422}
_BUSY = {
    FailureKind.HTTP_429,
    FailureKind.HTTP_5XX,
    FailureKind.HTTP_529,
    FailureKind.IN_STREAM_ERROR,
    FailureKind.TRUNCATED,
    FailureKind.EMPTY,
}


@dataclass(frozen=True)
class RequestProfile:
    """The model, the request fields that the server accepts, and its tokens per word of a prompt."""

    model: str
    more: Mapping[str, Any]
    usage: bool = True
    per_word: float = 1.0
    notes: tuple[str, ...] = ()

    def make_completion(self, prompt: Prompt, plan: LoadPlan) -> CompletionRequest:
        return CompletionRequest(
            model=self.model,
            prompt=prompt.content,
            max_tokens=prompt.max_tokens or plan.output_tokens,
            chat=plan.chat,
            usage=self.usage,
            more=self.more,
        )


async def find_model(client: Client, plan: LoadPlan) -> str:
    """The model to use.

    :raises Unavailable: none is named, and not exactly one is served.
    """
    if plan.model is not None:
        return plan.model
    answer = await client.get("/v1/models")
    if answer.failure is not None:
        remedy = suggest_remedy(answer.failure.kind, answer.failure.status, answer.failure.message)
        raise Unavailable(f"which models are served: {answer.failure}", fix=remedy)
    served = _parse_names(answer.body)
    if len(served) == 1:
        return served[0]
    models = f"{len(served)} models are served ({', '.join(served[:8])})" if served else "no model is served"
    raise Unavailable(models, fix="name the model: --model NAME")


def _parse_names(body: bytes) -> list[str]:
    try:
        listed = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    entries = listed.get("data") if isinstance(listed, dict) else None
    names = (entry.get("id") for entry in entries or () if isinstance(entry, dict))
    return [name[:200] for name in names if isinstance(name, str)]


async def negotiate(
    client: Client, plan: LoadPlan, model: str, prompts: Prompts, number: int
) -> tuple[RequestProfile, Exchange]:
    """Send a request, with fewer fields each time the server rejects it; return the profile and exchange.

    Answers of a fixed length need `ignore_eos`, and token counts need usage in streams; some servers reject
    one or the other.
    """
    common = {"temperature": 0, **plan.more}
    full = RequestProfile(model, {**common, "ignore_eos": True})
    no_eos = "the server rejects ignore_eos: answers have the length that the model chooses"
    no_usage = "the server rejects usage in streams: tokens are not counted"
    shorter = replace(full, more=common, notes=(no_eos,))
    minimal = replace(shorter, usage=False, notes=(no_eos, no_usage))
    limits = client.endpoint.limits
    patient = replace(limits, first_byte_s=_COLD * limits.first_byte_s, total_s=_COLD * limits.total_s)
    prompt = prompts(number, 1.0)
    for profile in (full, shorter, minimal):
        exchange = await client.complete(profile.make_completion(prompt, plan), limits=patient)
        if exchange.status not in _REJECTED:
            break
    return replace(profile, per_word=_measure_tokens_per_word(prompt, exchange)), exchange


def can_continue(exchange: Exchange) -> bool:
    """Whether to continue after the first request: it succeeded, or its failure may be transient."""
    return exchange.failure is None or exchange.failure.kind in _BUSY


def _measure_tokens_per_word(prompt: Prompt, exchange: Exchange) -> float:
    if exchange.usage is None or not isinstance(prompt.content, str) or exchange.usage.prompt < 1:
        return 1.0
    return max(exchange.usage.prompt / len(prompt.content.split()), 0.01)
