"""Serves the simulated engine over HTTP on a loopback port."""

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
    """Serve inside the block, at the URL that it yields."""
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
    """Serve from a subprocess, which does not slow down a load test in this process, at the URL that it
    yields. The subprocess ends with the block or with this process.
    """
    command = [sys.executable, "-P", "-m", "dynocheck.simulated"]
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
        """Ignore clients that close the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = OWNER
    sys_version = ""
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the terminal is for the report."""

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
            self._refuse(413, "Content-Length is missing or too large")
            return
        body = self.rfile.read(int(length))
        chat = _PATHS.get(self.path)
        if chat is None:
            self._refuse(404, f"there is no {self.path}")
            return
        try:
            request = json.loads(body)
            generation = self.server.engine.accept(request, chat=chat)
        except (ValueError, RecursionError):
            self._refuse(400, "the body is not JSON")
        except RequestError as error:
            self._refuse(error.status, str(error))
        else:
            response = _ResponseFormat(generation, chat=chat)
            if request.get("stream"):
                self._stream(response, request)
            else:
                self._send_json(200, response.build_response())

    def _stream(self, response: "_ResponseFormat", request: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        options = request.get("stream_options") or {}
        for chunk in response.build_chunks(usage=bool(options.get("include_usage"))):
            self._send_chunk(f"data: {json.dumps(chunk)}\n\n".encode())
        self._send_chunk(b"data: [DONE]\n\n")
        self._send_chunk(b"")

    def _send_chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _refuse(self, status: int, message: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "code": status}
        self._send_json(status, {"error": error})

    def _send_json(self, status: int, content: Any) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _ResponseFormat:
    """Formats an answer as a chat or text completion."""

    def __init__(self, generation: Generation, *, chat: bool) -> None:
        self.generation = generation
        self.chat = chat
        self.frame = {
            "id": f"simulated-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": generation.engine.model,
        }

    def build_response(self) -> dict[str, Any]:
        text = "".join(self.generation.generate_words())
        content = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        choice = {"index": 0, **content, "finish_reason": self.generation.finish_reason}
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self.frame, "object": kind, "choices": [choice], "usage": self.generation.build_usage()}

    def build_chunks(self, *, usage: bool) -> Iterator[dict[str, Any]]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        frame = {**self.frame, "object": kind}
        if self.chat:
            yield {**frame, "choices": [self._build_choice({"role": "assistant", "content": ""})]}
        for word in self.generation.generate_words():
            yield {**frame, "choices": [self._build_choice({"content": word} if self.chat else word)]}
        last = {} if self.chat else ""
        yield {**frame, "choices": [self._build_choice(last, self.generation.finish_reason)]}
        if usage:
            yield {**frame, "choices": [], "usage": self.generation.build_usage()}

    def _build_choice(self, content: Any, finish: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta" if self.chat else "text": content, "finish_reason": finish}
