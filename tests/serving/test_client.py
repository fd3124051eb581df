"""The client on servers that behave: what it sends, what it reads, what it times."""

import asyncio
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dynocheck.core.errors import UsageError
from dynocheck.serving import (
    Client,
    CompletionRequest,
    Endpoint,
    Exchange,
    ExchangeLimits,
    FailureKind,
    SecretValue,
    read_key,
)
from tests.kube.servers import Request, make_trusted_tls, reply, serve
from tests.serving.asking import (
    EVENTS,
    GOOD,
    HASTY,
    STREAM,
    WHOLE,
    always,
    chunk,
    closing_after_each_answer,
    completed,
    endpoint,
    events,
    got,
    streaming,
    usage,
    whole,
)

KEY = "sesame-open-the-door-0123"


def test_a_stream_is_read_to_its_end() -> None:
    with serve(streaming(GOOD)) as server:
        exchange = completed(server.url, STREAM)
    assert exchange.ok
    assert (exchange.status, exchange.model, exchange.finish_reason) == (200, "m", "stop")
    assert exchange.done
    assert exchange.usage is not None
    assert (exchange.usage.prompt, exchange.usage.completion) == (5, 2)
    assert (exchange.content_chars, len(exchange.times.chunks)) == (5, 2)
    assert exchange.text == ""  # nobody asked for it


def test_what_is_asked_reaches_the_server() -> None:
    asked = CompletionRequest(model="m", prompt="Hi", max_tokens=3, more={"ignore_eos": True})
    with serve(streaming(GOOD)) as server:
        completed(f"{server.url}/base/v1/", asked, key=SecretValue(KEY), headers={"X-Team": "ours"})
    (request,) = server.requests
    assert request.target == "/base/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-team"] == "ours"
    assert request.headers["accept-encoding"] == "identity"
    assert json.loads(request.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }


def test_a_body_may_be_sent_in_chunks() -> None:
    received = bytearray()

    def record(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while not received.endswith(b"\r\n0\r\n\r\n"):
                received.extend(connection.recv(1 << 16))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        recording = threading.Thread(target=record, args=(listening,))
        recording.start()
        completed(f"http://127.0.0.1:{listening.getsockname()[1]}", chunked=True)
        recording.join(10)
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    size, _, rest = body.partition(b"\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"content-length" not in head.lower()
    assert rest[: int(size, 16)] == STREAM.body


def test_times_follow_what_the_server_does() -> None:
    def slowly(_: Request, connection: socket.socket) -> None:
        for piece in (EVENTS, events(chunk("")), events(chunk("a")), events(chunk("b")), GOOD[-60:]):
            wrote.append(time.perf_counter())  # before: afterwards another thread may have run first
            connection.sendall(piece)
            time.sleep(0.1)

    wrote: list[float] = []
    with serve(slowly) as server:
        times = completed(server.url).times
    assert times.connected is not None
    assert times.sent is not None
    assert times.headers is not None
    assert times.scheduled <= times.started <= times.connected <= times.sent <= times.headers
    assert len(times.chunks) == 2
    for told, true in zip(times.chunks, wrote[2:4], strict=True):
        assert 0 <= told - true < 0.1  # it is the chunk of that write, not the next


def test_a_role_is_no_content_and_reasoning_and_tools_are() -> None:
    role = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
    thought = {"choices": [{"delta": {"reasoning_content": "hm"}}]}
    newer = {"choices": [{"delta": {"reasoning": "so"}}]}
    call = {"index": 0, "function": {"name": "look", "arguments": '{"a":'}}
    rest = {"index": 0, "function": {"arguments": " 1}"}}
    tools = [{"choices": [{"delta": {"tool_calls": [each]}}]} for each in (call, rest)]
    kept = CompletionRequest(model="m", prompt="", keep_text=True)
    stream = events(role, thought, newer, *tools, chunk(finish="tool_calls"), "[DONE]")
    with serve(streaming(stream)) as server:
        exchange = completed(server.url, kept)
    assert exchange.ok
    assert exchange.role_only == 1
    assert len(exchange.times.chunks) == 4
    assert exchange.reasoning == "hmso"
    assert [(tool.name, tool.arguments) for tool in exchange.tools.values()] == [("look", '{"a": 1}')]


def test_text_completions_and_whole_answers() -> None:
    text = {"model": "m", "choices": [{"text": "Hello", "finish_reason": "length", "index": 0}]}
    asked = CompletionRequest(model="m", prompt="Hi", chat=False, stream=False, keep_text=True)
    with serve(always(200, {**usage(5, 1), **text})) as server:
        exchange = completed(server.url, asked)
    assert server.requests[0].target == "/v1/completions"
    assert json.loads(server.requests[0].body) == {"model": "m", "prompt": "Hi", "stream": False}
    assert (exchange.ok, exchange.text) == (True, "Hello")


def test_kept_connections_are_told_from_fresh_ones() -> None:
    async def thrice(url: str, *, keep_alive: bool) -> list[Exchange]:
        async with Client(endpoint(url), keep_alive=keep_alive) as client:
            return [await client.complete(WHOLE) for _ in range(3)]

    with serve(always(200, whole("Hi"))) as server:
        kept = asyncio.run(thrice(server.url, keep_alive=True))
        fresh = asyncio.run(thrice(server.url, keep_alive=False))
    assert [exchange.fresh for exchange in kept] == [True, False, False]
    assert [exchange.times.connected is None for exchange in kept] == [False, True, True]
    assert [exchange.fresh for exchange in fresh] == [True, True, True]
    assert all(exchange.ok for exchange in (*kept, *fresh))
    assert all(exchange.quickack == hasattr(socket, "TCP_QUICKACK") for exchange in kept)


def test_a_kept_connection_that_the_server_has_closed_is_replaced() -> None:
    """As with llama.cpp, which closes after a stream without saying so."""

    async def ask(url: str) -> list[Exchange]:
        async with Client(endpoint(url)) as client:
            return [await client.complete(STREAM) for _ in range(3)]

    with serve(closing_after_each_answer(GOOD)) as server:
        exchanges = asyncio.run(ask(server.url))
    assert all(exchange.ok and exchange.fresh for exchange in exchanges)
    assert [exchange.resent for exchange in exchanges] == [False, True, True]


@pytest.mark.parametrize(("stalls_s", "sent"), [(0.0, 3), (1.2, 2)])
def test_a_server_that_drops_requests_fails(stalls_s: float, sent: int) -> None:
    """A new connection gets one chance; a server that has had the request for a while is not asked again."""

    def answer(_: Request, connection: socket.socket) -> bytes | None:
        if len(server.requests) == 1:
            return reply(200, whole("Hi"))
        time.sleep(stalls_s)
        return None

    async def ask(url: str) -> list[Exchange]:
        async with Client(endpoint(url)) as client:
            return [await client.complete(WHOLE) for _ in range(2)]

    with serve(answer) as server:
        first, second = asyncio.run(ask(server.url))
    assert first.ok
    assert second.failure is not None
    assert (second.failure.kind, len(server.requests)) == (FailureKind.TRUNCATED, sent)


def test_connections_that_stand_before_they_are_needed() -> None:
    async def ask(url: str) -> list[Exchange]:
        async with Client(endpoint(url)) as client:
            await client.prepare(3)
            return await asyncio.gather(*(client.complete(WHOLE) for _ in range(4)))

    with serve(always(200, whole("Hi"))) as server:
        exchanges = asyncio.run(ask(server.url))
    assert sorted(exchange.fresh for exchange in exchanges) == [False, False, False, True]
    assert all(exchange.ok for exchange in exchanges)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert [exchange.ok for exchange in asyncio.run(ask(f"http://127.0.0.1:{port}"))] == [False] * 4


def test_a_stream_broken_off_leaves_the_client_usable() -> None:
    async def ask(url: str) -> tuple[Exchange, Exchange]:
        async with Client(endpoint(url)) as client:
            return await client.complete(STREAM, cancel_after_chunks=1), await client.complete(STREAM)

    with serve(streaming(GOOD)) as server:
        cancelled, second = asyncio.run(ask(server.url))
    assert (cancelled.cancelled, cancelled.failure, cancelled.ok) == (True, None, False)
    assert len(cancelled.times.chunks) == 1
    assert second.ok


def test_an_authority_of_ones_own_or_none(tmp_path: Path) -> None:
    secured, authority = make_trusted_tls(tmp_path)
    file = tmp_path / "ca.pem"
    file.write_bytes(authority)
    with serve(streaming(GOOD), secured) as server:
        assert completed(server.url, ca_file=str(file)).ok
        assert completed(server.url, insecure=True).ok


def test_ipv6() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")

    async def ask() -> tuple[Exchange, bytes]:
        asked = b""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked = await reader.readuntil(b"\r\n\r\n")
            writer.write(EVENTS + GOOD)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, sock=listener):
            url = f"http://[::1]:{listener.getsockname()[1]}"
            async with Client(endpoint(url)) as client:
                return await client.complete(STREAM), asked

    exchange, asked = asyncio.run(ask())
    assert exchange.ok
    assert b"\r\nHost: [::1]:" in asked


def test_other_questions() -> None:
    with serve(lambda request, _: reply(200, {"path": request.target})) as server:
        answer = got(f"{server.url}/base", "/health")
        assert answer.ok
        assert answer.json() == {"path": "/base/health"}
    with serve(always(404, {"message": "no such thing", "type": "Not Found", "code": 404})) as server:
        answer = got(server.url)
    assert (answer.status, answer.ok) == (404, False)
    assert answer.failure is not None
    said = (answer.failure.kind, answer.failure.message)
    assert said == (FailureKind.HTTP_4XX, "HTTP 404: no such thing (404)")


def test_a_completion_that_was_due_earlier_is_timed_from_then() -> None:
    async def ask(url: str) -> Exchange:
        async with Client(endpoint(url)) as client:
            return await client.complete(STREAM, scheduled=1.0)

    with serve(streaming(GOOD)) as server:
        times = asyncio.run(ask(server.url)).times
    assert times.scheduled == 1.0 < times.started


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:8000", "ftp://host", "http://", "http://host:99999", "http://host:x"),
        *("http://a/?q=1", "http://[::1"),
    ],
)
def test_what_is_no_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError):
        Endpoint(url)


def test_a_key_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as refused:
        Endpoint(f"http://user:{KEY}@host")
    assert KEY not in str(refused.value)
    assert KEY not in repr(Endpoint("http://host", key=SecretValue(KEY)))
    monkeypatch.setenv("THE_KEY", f" {KEY}\n")
    found = read_key("THE_KEY", None)
    assert found is not None
    assert found.reveal() == KEY
    file = tmp_path / "key"
    file.write_text(f"{KEY}\r\nX-Other: 1")
    with pytest.raises(UsageError) as refused:
        read_key(None, str(file))
    assert KEY not in str(refused.value)


def test_keys_that_are_not_there(tmp_path: Path) -> None:
    for names in ((None, str(tmp_path / "none")), ("NO_SUCH_VARIABLE", None), ("A", "b")):
        with pytest.raises(UsageError):
            read_key(*names)


def test_limits_are_per_question() -> None:
    def late(*_: Any) -> bytes:
        time.sleep(0.6)
        return reply(200, {})

    async def ask(url: str) -> list[bool]:
        async with Client(endpoint(url, limits=HASTY)) as client:
            patient = ExchangeLimits(first_byte_s=5, total_s=5)
            return [(await client.get("/")).ok, (await client.get("/", limits=patient)).ok]

    with serve(late) as server:
        assert asyncio.run(ask(server.url)) == [False, True]
