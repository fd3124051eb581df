"""A server that streams at a steady pace and writes down when it wrote each chunk.

It runs in a process of its own: `python -m tests.loadtest.engine OPTIONS-AS-JSON` prints its port. What it
saw is its answer to GET /log; its times are of `perf_counter`, which all processes of a machine share.
"""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

from tests.command import ROOT

_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


@dataclass
class FakeEngineOptions:
    """How it behaves: seconds between chunks, and which requests, by their number from 0, fare otherwise."""

    pace_s: float = 0.02
    first_s: float = 0.02
    refuse: tuple[str, ...] = ()  # fields that are answered with 400
    fail: tuple[int, ...] = ()  # answered with 500
    cut: tuple[int, ...] = ()  # end without [DONE]
    stall: dict[int, float] = field(default_factory=dict)  # seconds before the first chunk
    per_chunk: int = 1  # tokens
    count: bool = True  # the usage
    models: tuple[str, ...] = ("m",)
    key: str | None = None


@dataclass
class FakeEngine:
    """A running one."""

    url: str

    def log(self) -> dict[str, Any]:
        """What it saw: `requests`, as they came, and the most that were `at_once`."""
        with urllib.request.urlopen(f"{self.url}/log", timeout=10) as answer:
            seen: dict[str, Any] = json.load(answer)
        return seen

    @property
    def prompts(self) -> list[str]:
        return [request["prompt"] for request in self.log()["requests"]]


@contextmanager
def engine(**options: Any) -> Iterator[FakeEngine]:
    """Start one, and stop it in the end."""
    given = json.dumps(asdict(FakeEngineOptions(**options)))
    command = [sys.executable, "-m", "tests.loadtest.engine", given]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield FakeEngine(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


class _EngineServer:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = FakeEngineOptions(**options)
        self.stall = {int(number): seconds for number, seconds in self.options.stall.items()}
        self.requests: list[dict[str, Any]] = []
        self.under_way = self.at_once = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
                body = await _body(reader, headers)
                if not head.startswith("POST"):
                    self.look(head.split(" ")[1], writer)
                else:
                    await self.complete(json.loads(body), headers, writer)
        writer.close()

    def look(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/metrics":
            tokens = sum(len(request["writes"]) for request in self.requests)
            text = f'# HELP x\nvllm:generation_tokens_total{{model_name="m"}} {tokens}\nother_total 1\n'
            answer(writer, 200, text.encode())
        elif path == "/log":
            answer(writer, 200, json.dumps({"requests": self.requests, "at_once": self.at_once}).encode())
        else:
            models = [{"id": name} for name in self.options.models]
            answer(writer, 200, json.dumps({"data": models}).encode())

    async def complete(
        self, asked: dict[str, Any], headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        prompt = asked["messages"][0]["content"] if "messages" in asked else asked["prompt"]
        request = {"prompt": prompt, "asked": asked, "at": perf_counter(), "writes": []}
        number = len(self.requests)
        self.requests.append(request)
        refused = [name for name in self.options.refuse if name in asked]
        if self.options.key and headers.get("authorization") != f"bearer {self.options.key}".lower():
            message = f"wrong key {headers['authorization']}"
            answer(writer, 401, json.dumps({"error": {"message": message}}).encode())
        elif refused:
            answer(writer, 400, json.dumps({"message": f"unknown field {refused[0]}"}).encode())
        elif number in self.options.fail:
            answer(writer, 500, b'{"message": "it broke"}')
        else:
            self.under_way += 1
            self.at_once = max(self.at_once, self.under_way)
            try:
                await self.stream(asked, request["writes"], number, writer)
            finally:
                self.under_way -= 1

    async def stream(
        self, asked: dict[str, Any], writes: list[float], number: int, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        due = perf_counter() + self.stall.get(number, self.options.first_s)
        tokens = asked.get("max_tokens") or asked["max_completion_tokens"]
        for _ in range(-(-tokens // self.options.per_chunk)):
            await asyncio.sleep(max(due - perf_counter(), 0))
            due += self.options.pace_s
            data = event({**_CHUNK, "choices": [{"index": 0, "delta": {"content": "word "}}]})
            writes.append(perf_counter())
            writer.write(data)
        if number in self.options.cut:
            raise ConnectionError
        writer.write(event({**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}))
        if self.options.count and "stream_options" in asked:
            words = len(str(asked.get("messages", asked.get("prompt"))).split())
            usage = {"prompt_tokens": 2 * words, "completion_tokens": tokens}
            writer.write(event({**_CHUNK, "choices": [], "usage": usage}))
        writer.write(event("[DONE]") + b"0\r\n\r\n")


def answer(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    """Send a whole answer."""
    writer.write(f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def event(data: object) -> bytes:
    """An event, as a chunk of the transfer."""
    text = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(text), text)


async def _serve(options: dict[str, Any]) -> None:
    server = await asyncio.start_server(_EngineServer(options).talk, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
