"""A registry that lets nobody in, whatever secret is shown, and has nothing of what is open to all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PORT = 5000
OPEN = "open"  # the first part of names that need no user
ADDRESS = f"127.0.0.1:{_PORT}"  # containerd speaks plain HTTP to a loopback address


class _Refusal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404 if self.path.startswith(f"/v2/{OPEN}/") else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="models"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def locked() -> Iterator[None]:
    """Run it, in the network that this thread is in."""
    with ThreadingHTTPServer(("127.0.0.1", _PORT), _Refusal) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        try:
            yield
        finally:
            server.shutdown()
