"""One HTTP/1.1 connection, made for measuring: what arrives is timed before it is looked at.

Linux puts off acknowledging what it receives, in the hope of sending it along with data; a server that
still uses Nagle's algorithm then holds its second packet back for 40 ms. TCP_QUICKACK asks for immediate
acknowledgement, and the kernel forgets it, so it is set anew after every read.
"""

import asyncio
import socket
from contextlib import suppress
from time import perf_counter
from typing import Any

from dynocheck.serving.endpoint import ExchangeLimits
from dynocheck.serving.response_parser import ResponseParser, ResponseReceiver

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
_BUFFER = 32 << 10


class Clock:
    """What time it is for all that arrived together.

    The event loop learns of many readable connections at once and serves one after the other: those at the
    end have waited for those before them. So all of one turn of the loop share the time of its first read.
    """

    def __init__(self) -> None:
        self._now: float | None = None

    def now(self) -> float:
        """The time of `perf_counter` at which this turn's reads began."""
        if self._now is None:
            self._now = perf_counter()
            asyncio.get_running_loop().call_soon(self._end_turn)  # runs before the reads of the next turn
        return self._now

    def _end_turn(self) -> None:
        self._now = None


class HttpConnection(asyncio.BufferedProtocol):
    """Carries one exchange at a time. It reads into a buffer of its own: to allocate one for each read costs
    more than to read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buffer = memoryview(bytearray(_BUFFER))
        self.transport: asyncio.Transport
        self.connected = 0.0
        self.quickack = False
        self.usable = False  # for one more exchange
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
        """Send a request and pass its answer on to the receiver, until it is complete.

        :param started: when the total time began.
        :return: when the request was handed to the kernel.
        :raises Failed: there is no complete answer.
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
            self.close()  # nobody asked
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
        """At once: what the server still sends is not read."""
        self.usable = False
        self.transport.abort()
