"""A limit on a whole exchange, which its sockets keep.

A socket's own timeout bounds one wait. A server that sends a byte a second never runs into it.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_current: ContextVar["Deadline | None"] = ContextVar("deadline", default=None)


class Deadline:
    """So many seconds from now."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._end = time.monotonic() + limit_s

    def remaining(self) -> float:
        """The seconds that remain, never less than 0."""
        return max(self._end - time.monotonic(), 0.0)

    @contextmanager
    def enforce(self) -> Iterator[None]:
        """Have every socket of this module that this thread reads inside the block end by then."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


class BoundedSocket(socket.socket):
    """A socket whose waits end with the deadline of the exchange."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _apply_deadline(self)
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        _apply_deadline(self)
        return super().recv(*args, **kwargs)


class BoundedTLSSocket(ssl.SSLSocket):
    """The same over TLS: what `SSLContext.sslsocket_class` is for."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _apply_deadline(self)
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        _apply_deadline(self)
        return super().recv(*args, **kwargs)


def connect(host: str, port: int, timeout_s: float) -> BoundedSocket:
    """A connection to the first address of this host that answers, all of them sharing the time.

    :raises OSError: none does.
    """
    end = time.monotonic() + timeout_s
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        opened = BoundedSocket(family, kind, protocol)
        try:
            opened.settimeout(max((end - time.monotonic()) / (len(addresses) - number), 0.001))
            opened.connect(address)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            opened.close()
            if number == len(addresses) - 1:
                raise
        else:
            opened.settimeout(max(end - time.monotonic(), 0.001))
            return opened
    raise OSError("no address")


def _apply_deadline(opened: socket.socket) -> None:
    deadline = _current.get()
    if deadline is not None:
        if not (left := deadline.remaining()):
            raise TimeoutError
        opened.settimeout(left)
