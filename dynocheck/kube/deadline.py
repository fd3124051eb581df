"""A time limit for a whole request, enforced on its sockets.

A socket's own timeout limits a single wait, which a server that sends one byte per second never exceeds.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from typing import Any

from dynocheck.core.threads import start_thread

_current: ContextVar["Deadline | None"] = ContextVar("deadline", default=None)


class Deadline:
    """A point in time, given as seconds from now."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._end = time.monotonic() + limit_s

    def remaining(self) -> float:
        """The remaining seconds, at least 0."""
        return max(self._end - time.monotonic(), 0.0)

    @contextmanager
    def enforce(self) -> Iterator[None]:
        """Apply this deadline to all reads of this module's sockets by this thread inside the block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


class BoundedSocket(socket.socket):
    """A socket whose reads end at the current deadline."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _apply_deadline(self)
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        _apply_deadline(self)
        return super().recv(*args, **kwargs)


class BoundedTLSSocket(ssl.SSLSocket):
    """The same over TLS, for `SSLContext.sslsocket_class`."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _apply_deadline(self)
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        _apply_deadline(self)
        return super().recv(*args, **kwargs)


def connect(host: str, port: int, timeout_s: float) -> BoundedSocket:
    """A connection to the first address of this host that accepts one; the lookup and all addresses share the
    timeout.

    :raises LookupTimeoutError: no answer of the resolver in time.
    :raises OSError: no address accepts a connection.
    """
    end = time.monotonic() + timeout_s
    addresses = _resolve(host, port, timeout_s)
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


class LookupTimeoutError(TimeoutError):
    """The resolver did not answer in time."""


def _resolve(host: str, port: int, timeout_s: float) -> list[tuple[Any, ...]]:
    """What the system's resolver answers, which knows no time limit: a process that ends leaves it."""
    with suppress(socket.gaierror):  # an address needs no resolver
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    answers: SimpleQueue[list[tuple[Any, ...]] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # raised again for the one who asked
            answers.put(error)

    try:
        start_thread(ask)
    except (RuntimeError, MemoryError):  # a limit of threads
        ask()
    try:
        answer = answers.get(timeout=timeout_s)
    except Empty:
        raise LookupTimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _apply_deadline(opened: socket.socket) -> None:
    deadline = _current.get()
    if deadline is not None:
        if not (left := deadline.remaining()):
            raise TimeoutError
        opened.settimeout(left)
