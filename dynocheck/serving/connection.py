"""An HTTP/1.1 connection for measurements: data is timestamped before it is parsed.

Linux delays acknowledgements in order to send them along with data; a server that uses Nagle's algorithm then
holds its second packet back for 40 ms. TCP_QUICKACK requests immediate acknowledgement; the kernel resets it,
so it is set again after every read.
"""

import asyncio
import socket
from contextlib import suppress
from time import perf_counter
from typing import Any

from dynocheck.serving.endpoint import ExchangeLimits
from dynocheck.serving.response_parser import ResponseParser, ResponseReceiver

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only
_BUFFER = 32 << 10


class Clock:
    """Gives all data that is read in one iteration of the event loop the same timestamp.

    The loop is notified of many readable connections at once and handles them one after the other, so the
    last ones have waited for the others. All share the time of the iteration's first read.
    """

    def __init__(self) -> None:
        self._now: float | None = None

    def now(self) -> float:
        """The `perf_counter` time at which this iteration's reads began."""
        if self._now is None:
            self._now = perf_counter()
            asyncio.get_running_loop().call_soon(self._end_turn)  # runs before the next iteration's reads
        return self._now

    def _end_turn(self) -> None:
        self._now = None


class HttpConnection(asyncio.BufferedProtocol):
    """Carries one exchange at a time. Reads into a buffer of its own, because allocating one for each read
    costs more than the read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buffer = memoryview(bytearray(_BUFFER))
        self.transport: asyncio.Transport
        self.connected = 0.0
        self.quickack = False
        self.usable = False  # for another exchange
        self._socket: Any = None
        self._answer: ResponseParser | None = None

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

    async def exchange(
        self, payload: bytes, receiver: ResponseReceiver, limits: ExchangeLimits, started: float
    ) -> float:
        """Send a request, and pass its response to the receiver until it is complete.

        :param started: when the total time limit begins.
        :return: when the request was handed to the kernel.
        :raises EndpointError: there is no complete response.
        """
        answer = self._answer = ResponseParser(receiver, limits, started, self.close)
        self.transport.write(payload)
        answer.sent = perf_counter()
        answer.watch_timeouts()
        try:
            await answer.done
        except BaseException:
            self.close()
            raise
        finally:
            answer.cancel_timer()
            self._answer = None
        self.usable = answer.keep_alive and not self.transport.is_closing()
        if not self.usable:
            self.close()
        return answer.sent

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        now = self._clock.now()
        self._acknowledge()
        if self._answer is None:
            self.close()  # unsolicited data
        else:
            self._answer.feed(self._buffer[:nbytes], now)

    def eof_received(self) -> None:
        if self._answer is not None:
            self._answer.handle_close()

    def connection_lost(self, error: Exception | None) -> None:
        self.usable = False
        if self._answer is not None:
            self._answer.handle_close(broken=error is not None)

    def close(self) -> None:
        """Close at once, without reading what the server still sends."""
        self.usable = False
        self.transport.abort()
