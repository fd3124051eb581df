"""Chat and text completions: what is asked, and what is read from the answer while it arrives.

Content is what the model generated: text, reasoning, or the call of a tool. A chunk that only names a role,
the finish reason or the usage holds none, and stops no clock.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from dynocheck.serving import errors
from dynocheck.serving.failures import Failed, Failure, Kind, clean, failed
from dynocheck.serving.sse import Event, Oversized, Parser

_DONE = b"[DONE]"
_ERROR_BODY = 64 << 10  # bytes of an error answer that are read for its message
_NAME = 200  # characters of a name that are kept


class Completion(msgspec.Struct, frozen=True, kw_only=True):
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
    `fresh` whether its connection was a new one, `quickack` whether that acknowledged at once. `choices` is
    how many answered; text and calls are kept for the first of them, when asked for.
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


class _Call(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Tool(msgspec.Struct):
    index: int | None = 0
    function: _Call | None = None


class _Delta(msgspec.Struct):
    role: str | None = None
    content: Any = None  # a text; a list of parts from some servers
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Tool] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None
    object: str | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class Cancelled(Exception):
    """As many chunks came as were asked for."""


class Reading:
    """Reads a completion's answer into an exchange while it arrives.

    :param limit: bytes of a line, and of the data of one event.
    :param cancel_after: chunks with content after which to break off.
    """

    def __init__(self, asked: Completion, exchange: Exchange, limit: int, cancel_after: int | None) -> None:
        self._asked = asked
        self._exchange = exchange
        self._cancel_after = cancel_after
        self._kind = ""
        self._retry_after: str | None = None
        self._location = ""
        self._whole = bytearray()
        self._parser: Parser | None = None
        self._limit = limit
        self._last = 0.0

    def head(self, status: int, headers: Mapping[str, str], at: float) -> None:
        self._exchange.status = status
        self._exchange.times.headers = at
        self._kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._retry_after = headers.get("retry-after")
        self._location = headers.get("location", "")
        if self._asked.stream and 200 <= status < 300 and self._kind != "application/json":
            self._parser = Parser(self._limit)

    def body(self, data: bytes, at: float) -> None:
        if self._parser is None:
            if self._exchange.status != 200 and len(self._whole) > _ERROR_BODY:
                return
            self._whole += data
            self._last = at
            return
        try:
            events = self._parser.feed(data)
        except Oversized:
            raise failed(Kind.TOO_LARGE, f"a line or event of more than {self._limit} bytes") from None
        for event in events:
            self._event(event, at)

    def finish(self) -> None:
        """The answer has come to its end.

        :raises Failed: it is no completion, or not a whole one.
        """
        exchange = self._exchange
        assert exchange.status is not None
        refuse(exchange.status, self._location, self._retry_after, bytes(self._whole))
        if self._parser is None and self._asked.stream:
            self._no_stream()
        elif self._parser is None:
            self._read(bytes(self._whole), self._last)
        self._whole.clear()
        if exchange.failure is None:
            self._judge()

    def _no_stream(self) -> None:
        """JSON where a stream was asked for: an error, or a server that cannot stream."""
        chunk = _decoded(bytes(self._whole), Kind.BAD_JSON)
        if chunk.error or chunk.object == "error":
            raise failed(Kind.IN_STREAM_ERROR, errors.message(bytes(self._whole)))
        raise failed(Kind.BAD_SSE, "a stream was asked for, and a single JSON document came")

    def _event(self, event: Event, at: float) -> None:
        self._exchange.events += 1
        if event.data.strip() == _DONE:
            self._exchange.done = True
        elif event.kind == "error":
            self._told(event.data)
        else:
            self._read(event.data, at)

    def _read(self, data: bytes, at: float) -> None:
        exchange = self._exchange
        chunk = _decoded(data, Kind.BAD_JSON)
        if chunk.error or chunk.object == "error":
            self._told(data)
            return
        exchange.model = (chunk.model or "")[:_NAME] or exchange.model
        if chunk.usage is not None:
            exchange.usage = _usage(chunk.usage) or exchange.usage
        generated = False
        for choice in chunk.choices or ():
            generated = self._choice(choice) or generated
        if generated:
            exchange.times.chunks.append(at)
            if len(exchange.times.chunks) == self._cancel_after:
                raise Cancelled
        elif any(choice.delta and choice.delta.role for choice in chunk.choices or ()):
            exchange.role_only += 1

    def _told(self, data: bytes) -> None:
        """An error within an answer; what follows is still read, and the first error counts."""
        if self._exchange.failure is None:
            self._exchange.failure = Failure(Kind.IN_STREAM_ERROR, errors.message(data))

    def _choice(self, choice: _Choice) -> bool:
        """Count what a choice holds; whether it holds content."""
        exchange = self._exchange
        exchange.choices = max(exchange.choices, choice.index + 1)
        exchange.finish_reason = (choice.finish_reason or "")[:_NAME] or exchange.finish_reason
        delta = choice.delta or choice.message or _Delta(content=choice.text)
        content = delta.content if isinstance(delta.content, str) else _parts(delta.content)
        reasoning = delta.reasoning or delta.reasoning_content or ""
        called = sum(self._tool(tool, choice.index) for tool in delta.tool_calls or ())
        exchange.content_chars += len(content)
        exchange.reasoning_chars += len(reasoning)
        exchange.tool_chars += called
        if self._asked.keep_text and choice.index == 0:
            exchange.text += content
            exchange.reasoning += reasoning
        return bool(content or reasoning or called)

    def _tool(self, tool: _Tool, choice: int) -> int:
        function = tool.function or _Call()
        arguments = function.arguments if isinstance(function.arguments, str) else ""
        if function.arguments and not arguments:  # an object, from servers that take "arguments" for JSON
            arguments = msgspec.json.encode(function.arguments).decode()
        if self._asked.keep_text and choice == 0:
            index = tool.index or 0
            if index not in self._exchange.tools:
                self._exchange.tools = {**self._exchange.tools, index: ToolCall()}
            call = self._exchange.tools[index]
            call.name += function.name or ""
            call.arguments += arguments
        return len(function.name or "") + len(arguments)

    def _judge(self) -> None:
        exchange = self._exchange
        if self._parser is not None:
            if exchange.events == 0:
                raise self._eventless()
            if not exchange.done:
                raise failed(Kind.TRUNCATED, "the stream ended without [DONE]")
        if exchange.finish_reason is None:
            raise failed(Kind.TRUNCATED, "the answer ended without a finish reason")
        hidden = exchange.finish_reason == "length" and exchange.usage and exchange.usage.completion
        if not (exchange.content_chars or exchange.reasoning_chars or exchange.tool_chars or hidden):
            raise failed(Kind.EMPTY, f"nothing was generated (finish reason {clean(exchange.finish_reason)})")

    def _eventless(self) -> Failed:
        assert self._parser is not None
        if self._kind != "text/event-stream" or self._parser.stray:
            said = errors.message(self._parser.stray or self._parser.pending)
            return failed(Kind.BAD_SSE, f"no event in the answer ({self._kind or 'of no type'}): {said}")
        return failed(Kind.TRUNCATED, "the stream ended before its first event")


def refuse(status: int, location: str, retry_after: str | None, body: bytes) -> None:
    """Let a good status pass.

    :raises Failed: it is another.
    """
    if 200 <= status < 300:
        return
    if status < 400:
        raise Failed(Failure(Kind.REDIRECT, f"HTTP {status}, to {_target(location)}", status=status))
    named = {429: Kind.HTTP_429, 529: Kind.HTTP_529}
    kind = named.get(status, Kind.HTTP_4XX if status < 500 else Kind.HTTP_5XX)
    message = f"HTTP {status}: {errors.message(body)}"
    raise Failed(Failure(kind, message, status=status, retry_after_s=_seconds(retry_after)))


def _target(location: str) -> str:
    """Where a redirect leads: its host, for the rest may hold a secret."""
    try:
        parts = urlsplit(location)
        host = parts.hostname
    except ValueError:
        return "nowhere that can be read"
    return clean(f"{parts.scheme}://{host}" if host else "a path of the same host")


def _seconds(retry_after: str | None) -> float | None:
    try:
        return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    except ValueError:
        return None


def _decoded(data: bytes, kind: Kind) -> _Chunk:
    try:
        return _CHUNK.decode(data)
    except RecursionError:
        raise failed(kind, "JSON of too many levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise failed(kind, f"{error}: {data[:100].decode('utf-8', 'replace')}") from None


def _usage(found: _Usage) -> Usage | None:
    if found.prompt_tokens is None:
        return None
    cached = found.prompt_tokens_details.cached_tokens if found.prompt_tokens_details else None
    return Usage(found.prompt_tokens, found.completion_tokens or 0, cached)


def _parts(content: Any) -> str:
    """The texts of a content that comes in parts."""
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
