"""One HTTP/1.1 connection, made for measuring: what arrives is timed before it is looked at.

Linux puts off acknowledging what it receives, in the hope of sending it along with data; a server that
still uses Nagle's algorithm then holds its second packet back for 40 ms. TCP_QUICKACK asks for immediate
acknowledgement, and the kernel forgets it, so it is set anew after every read.
"""

import asyncio
import errno
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, Protocol

import httptools

from dynocheck.serving.endpoint import Endpoint, Limits
from dynocheck.serving.failures import Kind, Phase, failed

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
_BUFFER = 32 << 10
_HAPPY_EYEBALLS_S = 0.25  # RFC 8305
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's names for the two


class Receiver(Protocol):
    """Takes an answer as it arrives; what it raises ends the exchange. Times are of `perf_counter`."""

    def head(self, status: int, headers: Mapping[str, str], at: float) -> None: ...
    def body(self, data: bytes, at: float) -> None: ...


async def connect(endpoint: Endpoint) -> "Connection":
    """A new connection.

    :raises Failed: there is none, or no TLS over it.
    """
    limits, loop = endpoint.limits, asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limits.connect_s):
            _, connection = await loop.create_connection(
                Connection, endpoint.host, endpoint.port, happy_eyeballs_delay=_HAPPY_EYEBALLS_S
            )
    except TimeoutError:
        raise failed(Kind.TIMEOUT, f"no connection within {limits.connect_s:g} s", Phase.CONNECT) from None
    except (OSError, UnicodeError) as error:
        raise failed(Kind.CLIENT if _is_ours(error) else Kind.CONNECT, _why(error)) from None
    if endpoint.tls is not None:
        await _secure(connection, endpoint, endpoint.tls)
    connection.connected = perf_counter()
    return connection


async def _secure(connection: "Connection", endpoint: Endpoint, context: ssl.SSLContext) -> None:
    limit = endpoint.limits.tls_s
    try:
        async with asyncio.timeout(limit):
            transport = await asyncio.get_running_loop().start_tls(
                connection.transport, connection, context, server_hostname=endpoint.host
            )
    except TimeoutError:
        connection.close()
        raise failed(Kind.TIMEOUT, f"no TLS handshake within {limit:g} s", Phase.TLS) from None
    except (OSError, ValueError) as error:  # SSLError is an OSError
        connection.close()
        raise failed(Kind.TLS, _why(error)) from None
    assert transport is not None
    connection.transport = transport


def _is_ours(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


def _why(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"no TLS: {(error.reason or 'handshake failed').replace('_', ' ').lower()}"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return "it closes the connection at once"
        case socket.gaierror():
            return f"its name is not known: {error.strerror}"
        case OSError() if error.errno:
            return error.strerror or str(error)
    return str(error) or type(error).__name__


class Connection(asyncio.BufferedProtocol):
    """Carries one exchange at a time. It reads into a buffer of its own: to allocate one for each read costs
    more than to read.
    """

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(_BUFFER))
        self.transport: asyncio.Transport
        self.connected = 0.0
        self.quickack = False
        self.usable = False  # for one more exchange
        self._socket: Any = None
        self._answer: _Answer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._socket = transport.get_extra_info("socket")
        with suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acknowledge()
        self.usable = True

    def _acknowledge(self) -> None:
        if _QUICKACK is not None:
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
                self.quickack = True
            except OSError:
                self.quickack = False

    async def exchange(self, payload: bytes, receiver: Receiver, limits: Limits, started: float) -> float:
        """Send a request and pass its answer on to the receiver, until it is complete.

        :param started: when the total time began.
        :return: when the request was handed to the kernel.
        :raises Failed: there is no complete answer.
        """
        answer = self._answer = _Answer(receiver, limits, started, self.close)
        self.transport.write(payload)
        answer.sent = perf_counter()
        answer.watch()
        try:
            await answer.done
        except BaseException:
            self.close()
            raise
        finally:
            answer.forget()
            self._answer = None
        self.usable = answer.keep_alive and not self.transport.is_closing()
        if not self.usable:
            self.close()
        return answer.sent

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        now = perf_counter()
        self._acknowledge()
        if self._answer is None:
            self.close()  # nobody asked
        else:
            self._answer.feed(self._buffer[:nbytes], now)

    def eof_received(self) -> None:
        if self._answer is not None:
            self._answer.ended()

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if self._answer is not None:
            self._answer.ended(broken=error is not None)

    def close(self) -> None:
        """At once: what the server still sends is not read."""
        self.usable = False
        self.transport.abort()


class _Answer:
    """An answer on its way: taken apart by httptools, timed, bounded."""

    def __init__(self, receiver: Receiver, limits: Limits, started: float, close: Callable[[], None]) -> None:
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
                self._count(0, len(data))
            elif self._headed:
                self._count(0, sum(map(len, self._body)))
                self._head(now)
            else:
                self._count(len(data), 0)
            if self._body:
                self._pass_on(now)
        except httptools.HttpParserUpgrade:
            self._end(failed(Kind.NOT_HTTP, "it switches to another protocol"))
        except httptools.HttpParserError as error:
            self._end(failed(Kind.NOT_HTTP, f"what it sends is not HTTP/1: {error}"))
        except Exception as error:  # the receiver's word to stop, for the one who waits
            self._end(error)
        else:
            if self._complete:
                self.keep_alive = self.keep_alive and not self._surplus
                self._end(None)

    def ended(self, *, broken: bool = False) -> None:
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
            failed(Kind.TRUNCATED, f"it {'broke' if broken else 'closed'} the connection before {when}")
        )

    def watch(self) -> None:
        """Keep an eye on the clock; one timer serves all limits and is not touched when bytes come."""
        due, phase, limit = self._due()
        left = due - perf_counter()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self.watch)
            return
        what = {Phase.FIRST_BYTE: "no answer", Phase.IDLE: "nothing more"}.get(phase, "no complete answer")
        self._end(failed(Kind.TIMEOUT, f"{what} within {limit:g} s", phase))

    def forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> tuple[float, Phase, float]:
        limits = self._limits
        total = (self._started + limits.total_s, Phase.TOTAL, limits.total_s)
        if self._last is None:
            return min(total, (self.sent + limits.first_byte_s, Phase.FIRST_BYTE, limits.first_byte_s))
        return min(total, (self._last + limits.idle_s, Phase.IDLE, limits.idle_s))

    def _count(self, head: int, body: int) -> None:
        """Bytes over the wire; those of a body with what frames it, so that no trailer is endless."""
        self._head_bytes += head
        self._body_bytes += body
        if self._body_bytes > self._limits.body:
            raise failed(Kind.TOO_LARGE, f"an answer of more than {self._limits.body} bytes")
        if self._head_bytes > self._limits.head:
            raise failed(Kind.TOO_LARGE, f"headers of more than {self._limits.head} bytes")

    def _head(self, now: float) -> None:
        packing = self._headers.get("content-encoding", "identity").lower()
        if packing in _WINDOWS:
            self._unpack = _unpacker(_WINDOWS[packing], self._limits.body)
        elif packing not in ("", "identity"):
            raise failed(Kind.NOT_HTTP, f"its answer is packed as {packing}, which was not asked for")
        self._receiver.head(self._status, self._headers, now)

    def _pass_on(self, now: float) -> None:
        data = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        if self._unpack is not None:
            data = self._unpack(data)
        if data:
            self._receiver.body(data, now)

    def _end(self, failure: Exception | None) -> None:
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure)
            self._close()


def _unpacker(window: int, limit: int) -> Callable[[bytes], bytes]:
    """Unpacks a body in pieces, up to a limit: a few bytes can stand for gigabytes."""
    packed, size = zlib.decompressobj(window), 0

    def unpack(data: bytes) -> bytes:
        nonlocal size
        try:
            piece = packed.decompress(data, limit - size + 1)
        except zlib.error:
            raise failed(Kind.NOT_HTTP, "its answer says that it is packed, and cannot be unpacked") from None
        size += len(piece)
        if size > limit:
            raise failed(Kind.TOO_LARGE, f"an answer that unpacks to more than {limit} bytes")
        return piece

    return unpack
