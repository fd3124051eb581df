"""Asks servers of the tests, with limits short enough to wait for."""

import asyncio
import json
import socket
from typing import Any

from dynocheck.serving import Client, CompletionRequest, Endpoint, EndpointResponse, Exchange, ExchangeLimits
from tests.kube.servers import Handler, Request, reply

SMALL = ExchangeLimits(
    connect_s=10, tls_s=10, first_byte_s=10, idle_s=10, total_s=20, line=1 << 16, body=1 << 18
)
HASTY = ExchangeLimits(tls_s=0.3, first_byte_s=0.3, idle_s=0.3, total_s=0.6)
STREAM = CompletionRequest(model="m", prompt="Hello", max_tokens=8)
WHOLE = CompletionRequest(model="m", prompt="Hello", max_tokens=8, stream=False)
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def endpoint(url: str, **more: Any) -> Endpoint:
    return Endpoint(url, **{"limits": SMALL, **more})


def completed(
    url: str, asked: CompletionRequest = STREAM, cancel_after: int | None = None, **more: Any
) -> Exchange:
    """What one completion comes to."""

    async def ask() -> Exchange:
        async with Client(endpoint(url, **more)) as client:
            return await client.complete(asked, cancel_after_chunks=cancel_after)

    return asyncio.run(ask())


def got(url: str, path: str = "/v1/models", **more: Any) -> EndpointResponse:
    """What a server answers to one question."""

    async def ask() -> EndpointResponse:
        async with Client(endpoint(url, **more)) as client:
            return await client.get(path)

    return asyncio.run(ask())


def chunk(content: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat with this content."""
    delta = {} if content is None else {"content": content}
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def whole(content: str | None) -> dict[str, Any]:
    """A whole answer of a chat with this content."""
    return {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    counted = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {"model": "m", "choices": [], "usage": counted}


def events(*data: object) -> bytes:
    """A stream of these events; what is no text is sent as JSON."""
    texts = (item if isinstance(item, str) else json.dumps(item) for item in data)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


GOOD = events(chunk("Hel"), chunk("lo"), chunk(finish="stop"), usage(5, 2), "[DONE]")


def streaming(*pieces: bytes) -> Handler:
    """Answers with a stream, in these pieces, and closes."""
    return sending(EVENTS, *pieces)


def sending(*pieces: bytes) -> Handler:
    """Sends these bytes, whatever is asked, and closes."""

    def answer(_: Request, connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return answer


def closing_after_each_answer(body: bytes) -> Handler:
    """Answers with a stream of known length, and drops the request that follows on the same connection."""
    answered: set[int] = set()

    def answer(_: Request, connection: socket.socket) -> bytes | None:
        port = connection.getpeername()[1]
        if port in answered:
            return None
        answered.add(port)
        return reply(200, body, "text/event-stream")

    return answer


def always(*answer: Any, **headers: Any) -> Handler:
    """Answers with the same, again and again."""
    made = reply(*answer, **headers)
    return lambda *_: made
