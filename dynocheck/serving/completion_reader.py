"""Reads the response to a completion request as it arrives."""

from collections.abc import Mapping

import msgspec

from dynocheck.serving import error_body
from dynocheck.serving.chunks import (
    Choice,
    Delta,
    FunctionDelta,
    ToolCallDelta,
    convert_usage,
    decode_chunk,
    join_texts,
)
from dynocheck.serving.completions import CompletionRequest, Exchange, ToolCall
from dynocheck.serving.failures import EndpointError, Failure, FailureKind, clean, make_error
from dynocheck.serving.sse import Event, EventStreamParser, EventTooLarge

_DONE = b"[DONE]"
_ERROR_BODY = 64 << 10  # bytes of an error response that are kept for its message
_ABORTED = {"abort", "aborted", "cancelled", "error"}  # finish reasons: vLLM and SGLang abort, Dynamo error
_NAME = 200  # characters of a name that are kept


class StreamCancelled(Exception):
    """The requested number of chunks has arrived."""


class CompletionReader:
    """Reads the response to a completion request into an exchange as it arrives.

    :param limit: maximum bytes of a line, and of the data of one event.
    :param cancel_after: number of chunks with content after which to cancel.
    """

    def __init__(
        self, request: CompletionRequest, exchange: Exchange, limit: int, cancel_after: int | None
    ) -> None:
        self._request = request
        self._exchange = exchange
        self._cancel_after = cancel_after
        self._kind = ""
        self._retry_after: str | None = None
        self._location = ""
        self._whole = bytearray()
        self._parser: EventStreamParser | None = None
        self._limit = limit
        self._last = 0.0

    def receive_head(self, status: int, headers: Mapping[str, str], at: float) -> None:
        self._exchange.status = status
        self._exchange.times.headers = at
        self._kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._retry_after = headers.get("retry-after")
        self._location = headers.get("location", "")
        if self._request.stream and 200 <= status < 300 and self._kind != "application/json":
            self._parser = EventStreamParser(self._limit)

    def receive_body(self, data: bytes, at: float) -> None:
        if self._parser is None:
            if self._exchange.status != 200 and len(self._whole) > _ERROR_BODY:
                return
            self._whole += data
            self._last = at
            return
        try:
            events = self._parser.feed(data)
        except EventTooLarge:
            raise make_error(
                FailureKind.TOO_LARGE, f"a line or event of more than {self._limit} bytes"
            ) from None
        for event in events:
            self._read_event(event, at)

    def finish(self) -> None:
        """Judge the complete response.

        :raises EndpointError: it is not a completion, or not a complete one.
        """
        exchange = self._exchange
        assert exchange.status is not None
        error_body.raise_for_status(exchange.status, self._location, self._retry_after, bytes(self._whole))
        if self._parser is None and self._request.stream:
            self._reject_json()
        elif self._parser is None:
            self._read_chunk(bytes(self._whole), self._last)
        self._whole.clear()
        if exchange.failure is None:
            self._judge()

    def _reject_json(self) -> None:
        """Raise for JSON in response to a stream request: an error, or a server that cannot stream."""
        chunk = decode_chunk(bytes(self._whole))
        if chunk.error or chunk.object == "error":
            raise make_error(FailureKind.IN_STREAM_ERROR, error_body.extract_message(bytes(self._whole)))
        raise make_error(FailureKind.BAD_SSE, "a single JSON document instead of a stream")

    def _read_event(self, event: Event, at: float) -> None:
        self._exchange.events += 1
        if event.data.strip() == _DONE:
            self._exchange.done = True
        elif event.kind == "error":
            self._record_error(event.data)
        else:
            self._read_chunk(event.data, at)

    def _read_chunk(self, data: bytes, at: float) -> None:
        exchange = self._exchange
        chunk = decode_chunk(data)
        if chunk.error or chunk.object == "error":
            self._record_error(data)
            return
        exchange.model = (chunk.model or "")[:_NAME] or exchange.model
        if chunk.usage is not None:
            exchange.usage = convert_usage(chunk.usage) or exchange.usage
        generated = False
        for choice in chunk.choices or ():
            generated = self._read_choice(choice) or generated
        if generated:
            exchange.times.chunks.append(at)
            if len(exchange.times.chunks) == self._cancel_after:
                raise StreamCancelled
        elif any(choice.delta and choice.delta.role for choice in chunk.choices or ()):
            exchange.role_only += 1

    def _record_error(self, data: bytes) -> None:
        """Record an error inside a response. Reading goes on; the first error counts."""
        if self._exchange.failure is None:
            self._exchange.failure = Failure(FailureKind.IN_STREAM_ERROR, error_body.extract_message(data))

    def _read_choice(self, choice: Choice) -> bool:
        """Count the content of a choice; return whether it has any."""
        exchange = self._exchange
        exchange.choices = max(exchange.choices, choice.index + 1)
        exchange.finish_reason = (choice.finish_reason or "")[:_NAME] or exchange.finish_reason
        delta = choice.delta or choice.message or Delta(content=choice.text)
        content = delta.content if isinstance(delta.content, str) else join_texts(delta.content)
        reasoning = delta.reasoning or delta.reasoning_content or ""
        called = sum(self._read_tool_call(tool, choice.index) for tool in delta.tool_calls or ())
        exchange.content_chars += len(content)
        exchange.reasoning_chars += len(reasoning)
        exchange.tool_chars += called
        if self._request.keep_text and choice.index == 0:
            exchange.text += content
            exchange.reasoning += reasoning
        return bool(content or reasoning or called)

    def _read_tool_call(self, tool: ToolCallDelta, choice: int) -> int:
        function = tool.function or FunctionDelta()
        arguments = function.arguments if isinstance(function.arguments, str) else ""
        if function.arguments and not arguments:  # some servers send an object instead of JSON text
            arguments = msgspec.json.encode(function.arguments).decode()
        if self._request.keep_text and choice == 0:
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
                raise self._explain_no_event()
            if not exchange.done:
                raise make_error(FailureKind.TRUNCATED, "the stream ended without [DONE]")
        if exchange.finish_reason is None:
            raise make_error(FailureKind.TRUNCATED, "the response has no finish reason")
        if exchange.finish_reason in _ABORTED:
            raise make_error(
                FailureKind.IN_STREAM_ERROR, f"the server aborted the response ({exchange.finish_reason})"
            )
        hidden = exchange.finish_reason == "length" and exchange.usage and exchange.usage.completion
        if not (exchange.content_chars or exchange.reasoning_chars or exchange.tool_chars or hidden):
            raise make_error(
                FailureKind.EMPTY, f"nothing was generated (finish reason {clean(exchange.finish_reason)})"
            )

    def _explain_no_event(self) -> EndpointError:
        assert self._parser is not None
        if self._kind != "text/event-stream" or self._parser.stray:
            message = error_body.extract_message(self._parser.stray or self._parser.pending)
            return make_error(
                FailureKind.BAD_SSE,
                f"no event in the response ({self._kind or 'no content type'}): {message}",
            )
        return make_error(FailureKind.TRUNCATED, "the stream ended before its first event")
