"""An answer on its way: taken apart by httptools, timed, bounded in every direction."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Protocol

import httptools

from dynocheck.serving.endpoint import ExchangeLimits
from dynocheck.serving.failures import FailureKind, TimeoutPhase, make_error

_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's names for the two


class ResponseReceiver(Protocol):
    """Takes an answer as it arrives; what it raises ends the exchange. Times are of `perf_counter`."""

    def receive_head(self, status: int, headers: Mapping[str, str], at: float) -> None: ...
    def receive_body(self, data: bytes, at: float) -> None: ...


class ResponseParser:
    """An answer on its way: taken apart by httptools, timed, bounded."""

    def __init__(
        self, receiver: ResponseReceiver, limits: ExchangeLimits, started: float, close: Callable[[], None]
    ) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.keep_alive = False
        self.sent = started
        self._receiver = receiver
        self._limits = limits
        self._started = started
        self._last: float | None = None  # when bytes came
        self._close = close
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._unpack: Callable[[bytes], bytes] | None = None
        self._status = 0
        self._head_bytes = self._body_bytes = 0
        self._headed = self._complete = self._surplus = False
        self._timer: asyncio.TimerHandle | None = None

    # What httptools calls.

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
            self._headers = {}  # 100 Continue and its like: the answer follows

    # What the connection calls.

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
            self._end(make_error(FailureKind.NOT_HTTP, "it switches to another protocol"))
        except httptools.HttpParserError as error:
            self._end(make_error(FailureKind.NOT_HTTP, f"what it sends is not HTTP/1: {error}"))
        except Exception as error:  # the receiver's word to stop, for the one who waits
            self._end(error)
        else:
            if self._complete:
                self.keep_alive = self.keep_alive and not self._surplus
                self._end(None)

    def handle_close(self, *, broken: bool = False) -> None:
        """The connection has closed, which ends an answer without a length and without chunks."""
        if self.done.done():
            return
        framed = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self._headed and not framed and not broken:
            self.keep_alive = False
            self._end(None)
            return
        when = "its answer was complete" if self._headed else "it answered"
        self._end(
            make_error(
                FailureKind.TRUNCATED, f"it {'broke' if broken else 'closed'} the connection before {when}"
            )
        )

    def watch_timeouts(self) -> None:
        """Keep an eye on the clock; one timer serves all limits and is not touched when bytes come."""
        due, phase, limit = self._find_deadline()
        left = due - perf_counter()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self.watch_timeouts)
            return
        what = {TimeoutPhase.FIRST_BYTE: "no answer", TimeoutPhase.IDLE: "nothing more"}.get(
            phase, "no complete answer"
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
        """Bytes over the wire; those of a body with what frames it, so that no trailer is endless."""
        self._head_bytes += head
        self._body_bytes += body
        if self._body_bytes > self._limits.body:
            raise make_error(FailureKind.TOO_LARGE, f"an answer of more than {self._limits.body} bytes")
        if self._head_bytes > self._limits.head:
            raise make_error(FailureKind.TOO_LARGE, f"headers of more than {self._limits.head} bytes")

    def _pass_head(self, now: float) -> None:
        packing = self._headers.get("content-encoding", "identity").lower()
        if packing in _WINDOWS:
            self._unpack = _make_unpacker(_WINDOWS[packing], self._limits.body)
        elif packing not in ("", "identity"):
            raise make_error(
                FailureKind.NOT_HTTP, f"its answer is packed as {packing}, which was not asked for"
            )
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
    """Unpacks a body in pieces, up to a limit: a few bytes can stand for gigabytes."""
    packed, size = zlib.decompressobj(window), 0

    def unpack(data: bytes) -> bytes:
        nonlocal size
        try:
            piece = packed.decompress(data, limit - size + 1)
        except zlib.error:
            raise make_error(
                FailureKind.NOT_HTTP, "its answer says that it is packed, and cannot be unpacked"
            ) from None
        size += len(piece)
        if size > limit:
            raise make_error(FailureKind.TOO_LARGE, f"an answer that unpacks to more than {limit} bytes")
        return piece

    return unpack
