"""Chat and text completions: what is asked, and what came of it.

Content is what the model generated: text, reasoning, or the call of a tool. A chunk that only names a role,
the finish reason or the usage holds none, and stops no clock.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dynocheck.serving.failures import Failure


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a model.

    :param prompt: a text, or the messages of a chat as the API has them.
    :param chat: by /v1/chat/completions, or else by /v1/completions.
    :param usage: ask for the usage at the end of a stream; an answer that is no stream always has it.
    :param more: further fields of the request, such as `ignore_eos`.
    :param keep_text: keep what was generated, not only its length.
    """

    model: str
    prompt: str | list[dict[str, Any]]
    max_tokens: int | None = None
    chat: bool = True
    stream: bool = True
    usage: bool = True
    more: Mapping[str, Any] = {}
    keep_text: bool = False

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.chat else "/v1/completions"

    @property
    def body(self) -> bytes:
        """The request as JSON."""
        asked: dict[str, Any] = {"model": self.model, "stream": self.stream}
        if self.chat:
            messages = [{"role": "user", "content": self.prompt}]
            asked["messages"] = messages if isinstance(self.prompt, str) else self.prompt
        else:
            asked["prompt"] = self.prompt
        if self.max_tokens is not None:
            asked["max_tokens"] = self.max_tokens
        if self.stream and self.usage:
            asked["stream_options"] = {"include_usage": True}
        return msgspec.json.encode({**asked, **self.more})


class Usage(msgspec.Struct, frozen=True):
    """Tokens as the server counted them; `cached` of the prompt's came from its cache, when it says so."""

    prompt: int
    completion: int
    cached: int | None = None


class ToolCall(msgspec.Struct):
    """A call that the model asked for; its arguments are JSON, if the model kept to it."""

    name: str = ""
    arguments: str = ""


class Times(msgspec.Struct):
    """When things happened, in seconds of `time.perf_counter`; what did not happen is None.

    `scheduled` is when the request was due, `started` when work on it began, `connected` when its connection
    stood, `sent` when its last byte was handed to the kernel. Chunks are those with content.
    """

    scheduled: float
    started: float
    connected: float | None = None
    sent: float | None = None
    headers: float | None = None
    chunks: list[float] = []
    ended: float | None = None

    @property
    def first_content(self) -> float | None:
        return self.chunks[0] if self.chunks else None

    @property
    def last_content(self) -> float | None:
        return self.chunks[-1] if self.chunks else None


class Exchange(msgspec.Struct):
    """A completion, as far as it came. `failure` says why it counts as failed.

    Lengths are in characters. `done` is whether a stream said `[DONE]`, `cancelled` whether we broke it off,
    `fresh` whether it had to wait for a new connection, `quickack` whether that acknowledged at once.
    `choices` is how many answered; text and calls are kept for the first of them, when asked for.
    """

    times: Times
    fresh: bool = True
    quickack: bool = False
    status: int | None = None
    failure: Failure | None = None
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    done: bool = False
    cancelled: bool = False
    choices: int = 0
    events: int = 0
    role_only: int = 0
    content_chars: int = 0
    reasoning_chars: int = 0
    tool_chars: int = 0
    text: str = ""
    reasoning: str = ""
    tools: dict[int, ToolCall] = {}

    @property
    def ok(self) -> bool:
        return self.failure is None and not self.cancelled
