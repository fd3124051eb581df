"""Reads the answer to a completion while it arrives."""

from collections.abc import Mapping

import msgspec

from dynocheck.serving import error_body
from dynocheck.serving.chunks import Call, Choice, Delta, Tool, decoded, texts_of, usage_of
from dynocheck.serving.completions import Completion, Exchange, ToolCall
from dynocheck.serving.failures import Failed, Failure, Kind, clean, failed
from dynocheck.serving.sse import Event, Oversized, Parser

_DONE = b"[DONE]"
_ERROR_BODY = 64 << 10  # bytes of an error answer that are read for its message
_BROKEN_OFF = {"abort", "aborted", "cancelled", "error"}  # vLLM and SGLang say abort, Dynamo error
_NAME = 200  # characters of a name that are kept


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
        error_body.refuse(exchange.status, self._location, self._retry_after, bytes(self._whole))
        if self._parser is None and self._asked.stream:
            self._no_stream()
        elif self._parser is None:
            self._read(bytes(self._whole), self._last)
        self._whole.clear()
        if exchange.failure is None:
            self._judge()

    def _no_stream(self) -> None:
        """JSON where a stream was asked for: an error, or a server that cannot stream."""
        chunk = decoded(bytes(self._whole))
        if chunk.error or chunk.object == "error":
            raise failed(Kind.IN_STREAM_ERROR, error_body.message(bytes(self._whole)))
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
        chunk = decoded(data)
        if chunk.error or chunk.object == "error":
            self._told(data)
            return
        exchange.model = (chunk.model or "")[:_NAME] or exchange.model
        if chunk.usage is not None:
            exchange.usage = usage_of(chunk.usage) or exchange.usage
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
            self._exchange.failure = Failure(Kind.IN_STREAM_ERROR, error_body.message(data))

    def _choice(self, choice: Choice) -> bool:
        """Count what a choice holds; whether it holds content."""
        exchange = self._exchange
        exchange.choices = max(exchange.choices, choice.index + 1)
        exchange.finish_reason = (choice.finish_reason or "")[:_NAME] or exchange.finish_reason
        delta = choice.delta or choice.message or Delta(content=choice.text)
        content = delta.content if isinstance(delta.content, str) else texts_of(delta.content)
        reasoning = delta.reasoning or delta.reasoning_content or ""
        called = sum(self._tool(tool, choice.index) for tool in delta.tool_calls or ())
        exchange.content_chars += len(content)
        exchange.reasoning_chars += len(reasoning)
        exchange.tool_chars += called
        if self._asked.keep_text and choice.index == 0:
            exchange.text += content
            exchange.reasoning += reasoning
        return bool(content or reasoning or called)

    def _tool(self, tool: Tool, choice: int) -> int:
        function = tool.function or Call()
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
        if exchange.finish_reason in _BROKEN_OFF:
            raise failed(Kind.IN_STREAM_ERROR, f"the answer was broken off ({exchange.finish_reason})")
        hidden = exchange.finish_reason == "length" and exchange.usage and exchange.usage.completion
        if not (exchange.content_chars or exchange.reasoning_chars or exchange.tool_chars or hidden):
            raise failed(Kind.EMPTY, f"nothing was generated (finish reason {clean(exchange.finish_reason)})")

    def _eventless(self) -> Failed:
        assert self._parser is not None
        if self._kind != "text/event-stream" or self._parser.stray:
            said = error_body.message(self._parser.stray or self._parser.pending)
            return failed(Kind.BAD_SSE, f"no event in the answer ({self._kind or 'of no type'}): {said}")
        return failed(Kind.TRUNCATED, "the stream ended before its first event")
