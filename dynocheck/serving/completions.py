"""Chat and text completions: requests, and the timed result of each.

Content is what the model generated: text, reasoning or a tool call. A chunk that holds only a role, a finish
reason or usage has no content, and does not count in any latency.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from dynocheck.serving.failures import Failure


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a completion.

    :param prompt: a text, or chat messages in the API's format.
    :param chat: use /v1/chat/completions rather than /v1/completions.
    :param usage: request usage at the end of a stream; a plain response always has it.
    :param more: additional request fields, such as `ignore_eos`.
    :param keep_text: keep the generated text, not only its length.
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
        fields: dict[str, Any] = {"model": self.model, "stream": self.stream}
        if self.chat:
            messages = [{"role": "user", "content": self.prompt}]
            fields["messages"] = messages if isinstance(self.prompt, str) else self.prompt
        else:
            fields["prompt"] = self.prompt
        if self.max_tokens is not None:
            fields["max_tokens"] = self.max_tokens
        if self.stream and self.usage:
            fields["stream_options"] = {"include_usage": True}
        return msgspec.json.encode({**fields, **self.more})


class Usage(msgspec.Struct, frozen=True):
    """Token counts from the server; `cached` is how many prompt tokens its cache held, if it reports that,
    `odd` the counts that it does not write as integers.
    """

    prompt: int
    completion: int
    cached: int | None = None
    odd: tuple[str, ...] = ()


class ToolCall(msgspec.Struct):
    """A tool call by the model; its arguments should be JSON, but need not be valid."""

    name: str = ""
    arguments: str = ""


class Times(msgspec.Struct):
    """Times in seconds of `time.perf_counter`; None for what did not happen.

    `scheduled` is when the request was due, `started` when work on it began, `connected` when its new
    connection was established, `sent` when its last byte was handed to the kernel, `headers` when the
    response's headers arrived. `chunks` are the chunks with content.
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
    """A completion, possibly incomplete. `failure` says why it counts as failed.

    Lengths are in characters. `done` is whether a stream ended with `[DONE]`, `cancelled` whether we
    cancelled it, `fresh` whether it needed a new connection, `resent` whether a reused one was found closed
    first, `quickack` whether TCP_QUICKACK was set on it. `usage_rejected` is whether the server accepted the
    request only without a demand for usage.
    `choices` is the number of choices; text and tool calls are kept for the first one, on request.
    """

    times: Times
    fresh: bool = True
    resent: bool = False
    quickack: bool = False
    status: int | None = None
    failure: Failure | None = None
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    usage_rejected: bool = False
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
