"""Servers on loopback that behave as no API server should."""

import contextlib
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynocheck.kube import Cluster, find_connection
from tests.controlplane import access
from tests.controlplane.access import User
from tests.controlplane.certs import Authority, Pair

TOKEN = "not-to-be-told-0123456789"
SLACK = 5.0  # seconds that a busy machine may add to a time limit; servers stall for longer
SOMEBODY = User("somebody", token=TOKEN)


@dataclass
class Request:
    """What a client sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


# Takes a request and the connection it came on; what it returns is sent, and None closes the connection.
Handler = Callable[[Request, socket.socket], bytes | None]
TlsContext = tuple[ssl.SSLContext, bytes]  # a server's context, and the authority to trust


@dataclass
class FakeServer:
    """A listening server, what was asked of it, and how a client reaches it."""

    url: str
    authority: bytes
    requests: list[Request] = field(default_factory=list)

    def kubeconfig(self, folder: Path, user: User = SOMEBODY, **overrides: Any) -> Path:
        path = folder / "kubeconfig"
        path.write_text(access.kubeconfig(user, self.url, self.authority, None, overrides))
        return path

    def cluster(self, folder: Path, *, timeout_s: float = 1.0, **overrides: Any) -> Cluster:
        return Cluster(find_connection(str(self.kubeconfig(folder, **overrides))), timeout_s=timeout_s)


def reply(status: int, body: bytes | str | object, kind: str = "application/json", **headers: str) -> bytes:
    """An HTTP answer; what is neither bytes nor text is sent as JSON."""
    if isinstance(body, str):
        body = body.encode()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def items(*objects: object, **metadata: str) -> dict[str, Any]:
    """A list as an API server answers it."""
    return {"kind": "ThingList", "apiVersion": "v1", "metadata": metadata, "items": list(objects)}


def tls(pair: Pair, folder: Path) -> ssl.SSLContext:
    """A server's context with this certificate."""
    return pair.serving(folder)


@contextmanager
def serve(
    handler: Handler | bytes | None, secured: ssl.SSLContext | None = None, authority: bytes = b""
) -> Iterator[FakeServer]:
    """A server that answers through the handler, or always the same; None says nothing to a connection."""
    respond: Handler | None = (lambda *_: handler) if isinstance(handler, bytes) else handler
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "https" if secured else "http"
    server = FakeServer(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", authority)
    closing = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(10)
            connections.append(connection)
            if respond is None:
                closing.wait()
                return
            if secured is None:
                _answer(connection, respond, server, closing)
            else:
                with secured.wrap_socket(connection, server_side=True) as inside:
                    connections.append(inside)
                    _answer(inside, respond, server, closing)

    def accept() -> None:
        while not closing.is_set():
            if select.select([listener], [], [], 0.05)[0]:
                connection = listener.accept()[0]
                threads.append(threading.Thread(target=talk, args=(connection,), daemon=True))
                threads[-1].start()

    threads.append(threading.Thread(target=accept, daemon=True))
    threads[0].start()
    try:
        yield server
    finally:
        closing.set()
        for connection in connections:  # a handler may be waiting for a client that keeps it
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        listener.close()


def send_and_close(sent: bytes) -> Handler:
    """A handler that sends this and closes the connection."""
    return lambda _, connection: connection.sendall(sent)


def _answer(
    connection: socket.socket, handler: Handler, server: FakeServer, closing: threading.Event
) -> None:
    pending = b""
    while not closing.is_set():
        ready = getattr(connection, "pending", lambda: 0)() or select.select([connection], [], [], 0.05)[0]
        if not ready:
            continue
        if not (received := connection.recv(1 << 16)):
            return
        pending += received
        while (request := _parse_request(pending)) is not None:
            asked, pending = request
            server.requests.append(asked)
            answer = handler(asked, connection)
            if answer is None:
                return
            connection.sendall(answer)


def _parse_request(pending: bytes) -> tuple[Request, bytes] | None:
    """The first request and what follows it, once all of it has come."""
    head, end, rest = pending.partition(b"\r\n\r\n")
    if not end:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    length = int(headers.get("content-length", 0))
    if len(rest) < length:
        return None
    method, target, _ = first.split(" ")
    return Request(method, target, headers, rest[:length]), rest[length:]


def make_trusted_tls(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """A server's context whose certificate is good for 127.0.0.1, and the authority to trust."""
    authority = Authority()
    return tls(authority.issue("server", hosts=["127.0.0.1"]), folder), authority.certificate
