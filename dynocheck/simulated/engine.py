"""The answers and latencies of the simulated engine."""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

OWNER = "dynocheck-simulated"

_TEXT = "this engine is simulated and answers with these words whatever the question was"
_WORDS = tuple(_TEXT.split())
_BLOCK = 16  # tokens per block of the cache


class RequestError(Exception):
    """A request that is rejected with an HTTP status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class SimulatedEngine:
    """An engine whose tokens are words. It is thread-safe.

    :param model: served model name.
    :param context: maximum number of tokens of prompt and answer together.
    :param prefill_s: seconds per uncached token of the prompt.
    :param token_s: seconds per token of the answer.
    """

    model: str = "simulated-model"
    context: int = 2048
    prefill_s: float = 0.0002
    token_s: float = 0.005
    requests: int = 0
    tokens: int = 0
    _cache: set[bytes] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def list_models(self) -> dict[str, Any]:
        """The response to /v1/models."""
        entry = {"id": self.model, "object": "model", "owned_by": OWNER, "max_model_len": self.context}
        return {"object": "list", "data": [entry]}

    def format_metrics(self) -> str:
        """Its counters in Prometheus' text format."""
        counters = {"requests": self.requests, "output_tokens": self.tokens}
        return "".join(
            f"# TYPE simulated_{n}_total counter\nsimulated_{n}_total {v}\n" for n, v in counters.items()
        )

    def accept(self, body: Any, *, chat: bool) -> "Generation":
        """The answer to a request, still to be generated.

        :raises RequestError: the request is rejected.
        """
        if not isinstance(body, dict):
            raise RequestError(400, "the body is not a JSON object")
        if body.get("model") != self.model:
            raise RequestError(404, f"the model {body.get('model')!r} does not exist")
        if body.get("tools") or body.get("response_format"):
            raise RequestError(400, "tools and response formats are not simulated")
        prompt = _read_prompt(body, chat=chat).split()
        max_tokens = body.get("max_tokens") or self.context
        if not isinstance(max_tokens, int) or max_tokens < 1:
            raise RequestError(400, "max_tokens is not a positive number")
        if len(prompt) >= self.context:
            raise RequestError(400, f"the context is {self.context} tokens, the prompt has {len(prompt)}")
        length = min(max_tokens, self.context - len(prompt))
        if not body.get("ignore_eos"):
            length = min(length, len(_WORDS) * 64)
        return Generation(self, prompt, length, max_tokens)

    def count_cached(self, prompt: list[str]) -> int:
        """The number of cached tokens at the beginning of a prompt; its whole blocks are then cached."""
        blocks: list[bytes] = []
        running = hashlib.sha256()
        for start in range(0, len(prompt) - _BLOCK + 1, _BLOCK):
            running.update(" ".join(prompt[start : start + _BLOCK]).encode())
            blocks.append(running.digest())
        with self._lock:
            known = next((n for n, block in enumerate(blocks) if block not in self._cache), len(blocks))
            self._cache.update(blocks)
        return known * _BLOCK

    def record(self, tokens: int) -> None:
        """Count an answer with this number of tokens."""
        with self._lock:
            self.requests += 1
            self.tokens += tokens


@dataclass
class Generation:
    """The answer to one request, generated word by word."""

    engine: SimulatedEngine
    prompt: list[str]
    length: int
    max_tokens: int
    cached: int = 0

    @property
    def finish_reason(self) -> str:
        return "length" if self.length == self.max_tokens else "stop"

    def generate_words(self) -> Iterator[str]:
        """The words of the answer, with the engine's latencies."""
        self.cached = self.engine.count_cached(self.prompt)
        time.sleep(self.engine.prefill_s * (len(self.prompt) - self.cached))
        for number in range(self.length):
            time.sleep(self.engine.token_s)
            yield f"{' ' if number else ''}{_WORDS[number % len(_WORDS)]}"
        self.engine.record(self.length)

    def build_usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": len(self.prompt),
            "completion_tokens": self.length,
            "total_tokens": len(self.prompt) + self.length,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


def _read_prompt(body: Mapping[str, Any], *, chat: bool) -> str:
    if not chat:
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise RequestError(400, "the prompt is not a string")
        return prompt
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestError(400, "there are no messages")
    contents = [message.get("content") for message in messages if isinstance(message, dict)]
    texts = [content for content in contents if isinstance(content, str)]
    if len(texts) < len(messages):
        raise RequestError(400, "the content of a message is not a string")
    return "\n".join(texts)
