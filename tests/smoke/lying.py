"""Servers that are almost right: the simulated engine, with one thing changed each."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from dynocheck.simulated import SimulatedEngine, serve


@dataclass
class ProxiedCall:
    """A request, and what the honest engine answers to it; a change may edit the answer in place."""

    path: str
    asked: dict[str, Any]
    number: int  # of the requests for a completion, from 1
    headers: dict[str, str]
    status: int = 200
    kind: str = ""
    body: bytes = b""
    answer_headers: dict[str, str] = field(default_factory=dict)
    hangs_up: bool = False  # close the connection after the answer, without saying so

    @property
    def streamed(self) -> bool:
        return bool(self.asked.get("stream"))

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Apply a change to the JSON of the answer, or to each event's."""
        if not self.streamed or self.status != 200:
            content = json.loads(self.body)
            change(content)
            self.body = json.dumps(content).encode()
            return
        events = []
        for event in self.body.split(b"\n\n"):
            data = event.removeprefix(b"data: ")
            if data.startswith(b"{"):
                content = json.loads(data)
                change(content)
                data = json.dumps(content).encode()
            events.append(b"data: " + data if data else b"")
        self.body = b"\n\n".join(events)


@contextmanager
def serve_lies(change: Callable[[ProxiedCall], None], engine: SimulatedEngine | None = None) -> Iterator[str]:
    """Serve an honest engine through a change, which edits each call's answer."""
    with (
        serve(engine or SimulatedEngine(token_s=0.0, prefill_s=0.0)) as honest,
        serve_proxy(honest, change=change) as url,
    ):
        yield url


@contextmanager
def serve_proxy(
    *honest: str, change: Callable[[ProxiedCall], None] = lambda call: None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Stand before servers as a proxy that asks each of them in turn, and passes on an answer as a whole."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cycle(honest), change))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _handler(honest: Iterator[str], change: Callable[[ProxiedCall], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        completions = 0
        lock = threading.Lock()

        def handle(self) -> None:
            with suppress(ConnectionResetError):  # who asks may hang up
                super().handle()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            self.relay(None)

        def do_POST(self) -> None:
            self.relay(self.rfile.read(int(self.headers["Content-Length"])))

        def relay(self, sent: bytes | None) -> None:
            call = ProxiedCall(self.path, _decode_json(sent), 0, dict(self.headers))
            if sent is not None:
                with Handler.lock:
                    Handler.completions += 1
                    call.number = Handler.completions
            call.status, call.kind, call.body = _forward(next(honest) + self.path, sent)
            change(call)
            self.send_response(call.status)
            self.send_header("Content-Type", call.kind)
            self.send_header("Content-Length", str(len(call.body)))
            for name, value in call.answer_headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(call.body)
            self.close_connection = self.close_connection or call.hangs_up

    return Handler


def _decode_json(sent: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(sent or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _forward(url: str, sent: bytes | None) -> tuple[int, str, bytes]:
    request = Request(url, sent, {"Content-Type": "application/json"} if sent is not None else {})
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()
