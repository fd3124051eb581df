"""The simulated engine behind HTTP, on a loopback port."""

import json
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dynocheck.simulated.engine import OWNER, Generation, RequestError, SimulatedEngine

_LONGEST = 32 << 20  # bytes of a request
_PATHS = {"/v1/chat/completions": True, "/v1/completions": False}


@contextmanager
def serve(engine: SimulatedEngine) -> Iterator[str]:
    """Serve inside the block, and give the URL."""
    server = _Server(engine)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_in_subprocess() -> Iterator[str]:
    """Serve from a process of its own inside the block, and give the URL: who shares a process with the one
    that measures it is late at each other's work. However this process ends, so does the other.
    """
    command = [sys.executable, "-m", "dynocheck.simulated"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, engine: SimulatedEngine) -> None:
        self.engine = engine
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who breaks off a stream is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = OWNER
    sys_version = ""
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the terminal belongs to the report."""

    def do_GET(self) -> None:
        match self.path:
            case "/v1/models":
                self._send_json(200, self.server.engine.list_models())
            case "/health":
                self._send_json(200, {"status": "healthy", "engine": OWNER})
            case "/metrics":
                self._send(200, "text/plain; version=0.0.4", self.server.engine.format_metrics().encode())
            case _:
                self._refuse(404, f"there is no {self.path}")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LONGEST:
            self.close_connection = True
            self._refuse(413, "the length of the body is not told, or too much")
            return
        body = self.rfile.read(int(length))
        chat = _PATHS.get(self.path)
        if chat is None:
            self._refuse(404, f"there is no {self.path}")
            return
        try:
            asked = json.loads(body)
            job = self.server.engine.accept(asked, chat=chat)
        except (ValueError, RecursionError):
            self._refuse(400, "the body is not JSON")
        except RequestError as refused:
            self._refuse(refused.status, str(refused))
        else:
            shape = _ResponseFormat(job, chat=chat)
            self._stream(shape, asked) if asked.get("stream") else self._send_json(
                200, shape.build_response()
            )

    def _stream(self, shape: "_ResponseFormat", asked: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        options = asked.get("stream_options") or {}
        for piece in shape.build_chunks(usage=bool(options.get("include_usage"))):
            self._send_chunk(f"data: {json.dumps(piece)}\n\n".encode())
        self._send_chunk(b"data: [DONE]\n\n")
        self._send_chunk(b"")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _refuse(self, status: int, why: str) -> None:
        self._send_json(status, {"error": {"message": why, "type": "invalid_request_error", "code": status}})

    def _send_json(self, status: int, content: Any) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _ResponseFormat:
    """A job in the words of the API, as a chat or as a text completion."""

    def __init__(self, job: Generation, *, chat: bool) -> None:
        self.job = job
        self.chat = chat
        self.frame = {
            "id": f"simulated-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": job.engine.model,
        }

    def build_response(self) -> dict[str, Any]:
        text = "".join(self.job.generate_words())
        said = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **said, "finish_reason": self.job.finish_reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self.frame, "object": kind, "choices": [choice], "usage": self.job.build_usage()}

    def build_chunks(self, *, usage: bool) -> Iterator[dict[str, Any]]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        frame = {**self.frame, "object": kind}
        if self.chat:
            yield {**frame, "choices": [self._build_choice({"role": "assistant", "content": ""})]}
        for word in self.job.generate_words():
            yield {**frame, "choices": [self._build_choice({"content": word} if self.chat else word)]}
        last = {} if self.chat else ""
        yield {**frame, "choices": [self._build_choice(last, self.job.finish_reason)]}
        if usage:
            yield {**frame, "choices": [], "usage": self.job.build_usage()}

    def _build_choice(self, said: Any, finish: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta" if self.chat else "text": said, "finish_reason": finish}
