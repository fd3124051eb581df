"""Incremental HTTP/1.1 response parser with timestamps and size and time limits."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Protocol

import httptools

from dynocheck.serving.endpoint import ExchangeLimits
from dynocheck.serving.failures import FailureKind, TimeoutPhase, UnansweredError, make_error

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's names for the two


class ResponseReceiver(Protocol):
    """Receives a response as it arrives; an exception ends the exchange. Times are from `perf_counter`."""

    def receive_head(self, status: int, headers: Mapping[str, str], at: float) -> None: ...
    def receive_body(self, data: bytes, at: float) -> None: ...


class ResponseParser:
    """Parses a response with httptools, passes it to a receiver and enforces the limits.

    :param started: when the total time limit begins.
    :param close: closes the connection.
    """

    def __init__(
        self, receiver: ResponseReceiver, limits: ExchangeLimits, started: float, close: Callable[[], None]
    ) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.keep_alive = False
        self.sent = started
        self._receiver = receiver
        self._limits = limits
        self._started = started
        self._last: float | None = None  # when bytes last arrived
        self._close = close
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._unpack: Callable[[bytes], bytes] | None = None
        self._status = 0
        self._head_bytes = self._body_bytes = 0
        self._headed = self._complete = self._surplus = False
        self._timer: asyncio.TimerHandle | None = None

    # Called by httptools.

    def on_message_begin(self) -> None:
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        self._headers[key] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        self._status = self._parser.get_status_code()
        self._headed = self._status >= 200

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self._complete = True
            self.keep_alive = self._parser.should_keep_alive()
        else:
            self._headers = {}  # 100 Continue or another interim response

    # Called by the connection.

    def feed(self, data: memoryview, now: float) -> None:
        if self.done.done():
            return
        self._last = now
        had_head = self._headed
        try:
            self._parser.feed_data(data)
            if had_head:
                self._count_bytes(0, len(data))
            elif self._headed:
                self._count_bytes(0, sum(map(len, self._body)))
                self._pass_head(now)
            else:
                self._count_bytes(len(data), 0)
            if self._body:
                self._pass_body(now)
        except httptools.HttpParserUpgrade:
            self._end(make_error(FailureKind.NOT_HTTP, "the server switches to another protocol"))
        except httptools.HttpParserError as error:
            self._end(make_error(FailureKind.NOT_HTTP, f"the response is not HTTP/1: {error}"))
        except Exception as error:  # raised by the receiver, for the caller
            self._end(error)
        else:
            if self._complete:
                self.keep_alive = self.keep_alive and not self._surplus
                self._end(None)

    def handle_close(self, *, broken: bool = False) -> None:
        """Handle a closed connection, which ends a response that has neither a length nor chunks."""
        if self.done.done():
            return
        framed = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self._headed and not framed and not broken:
            self.keep_alive = False
            self._end(None)
            return
        what = "connection reset" if broken else "the server closed the connection"
        when = "the response was complete" if self._headed else "responding"
        error = make_error(FailureKind.TRUNCATED, f"{what} before {when}")
        unanswered = self._last is None
        self._end(UnansweredError(error.failure, perf_counter() - self.sent) if unanswered else error)

    def watch_timeouts(self) -> None:
        """Enforce the time limits with a single timer, which is not rescheduled when bytes arrive."""
        due, phase, limit = self._find_deadline()
        left = due - perf_counter()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self.watch_timeouts)
            return
        what = {TimeoutPhase.FIRST_BYTE: "no response", TimeoutPhase.IDLE: "no further data"}.get(
            phase, "no complete response"
        )
        self._end(make_error(FailureKind.TIMEOUT, f"{what} within {limit:g} s", phase))

    def cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _find_deadline(self) -> tuple[float, TimeoutPhase, float]:
        limits = self._limits
        total = (self._started + limits.total_s, TimeoutPhase.TOTAL, limits.total_s)
        if self._last is None:
            return min(total, (self.sent + limits.first_byte_s, TimeoutPhase.FIRST_BYTE, limits.first_byte_s))
        return min(total, (self._last + limits.idle_s, TimeoutPhase.IDLE, limits.idle_s))

    def _count_bytes(self, head: int, body: int) -> None:
        """Count bytes on the wire; chunk framing counts as body, so that trailers are limited too."""
        self._head_bytes += head
        self._body_bytes += body
        if self._body_bytes > self._limits.body:
            raise make_error(FailureKind.TOO_LARGE, f"a response of more than {self._limits.body} bytes")
        if self._head_bytes > self._limits.head:
            raise make_error(FailureKind.TOO_LARGE, f"headers of more than {self._limits.head} bytes")

    def _pass_head(self, now: float) -> None:
        encoding = self._headers.get("content-encoding", "identity").lower()
        if encoding in _WINDOWS:
            self._unpack = _make_unpacker(_WINDOWS[encoding], self._limits.body)
        elif encoding not in ("", "identity"):
            raise make_error(FailureKind.NOT_HTTP, f"unrequested content encoding {encoding}")
        self._receiver.receive_head(self._status, self._headers, now)

    def _pass_body(self, now: float) -> None:
        data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        if self._unpack is not None:
            data = self._unpack(data)
        if data:
            self._receiver.receive_body(data, now)

    def _end(self, failure: Exception | None) -> None:
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure)
            self._close()


def _make_unpacker(window: int, limit: int) -> Callable[[bytes], bytes]:
    """A function that decompresses a body in pieces, up to a limit in bytes, as a guard against zip bombs."""
    packed, size = zlib.decompressobj(window), 0

    def unpack(data: bytes) -> bytes:
        nonlocal size
        try:
            piece = packed.decompress(data, limit - size + 1)
        except zlib.error:
            raise make_error(FailureKind.NOT_HTTP, "the compressed response cannot be decoded") from None
        size += len(piece)
        if size > limit:
            raise make_error(FailureKind.TOO_LARGE, f"a response that decompresses to over {limit} bytes")
        return piece

    return unpack
