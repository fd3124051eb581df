"""Servers that fail in every way: each ends within its limits, in the right class, in bounded memory."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import itertools
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynocheck.serving import (
    Client,
    CompletionRequest,
    Exchange,
    Failure,
    FailureKind,
    SecretValue,
    TimeoutPhase,
)
from tests.controlplane import certs
from tests.controlplane.certs import Authority
from tests.kube.servers import Handler, Request, reply, serve, tls
from tests.serving.asking import (
    EVENTS,
    GOOD,
    HASTY,
    STREAM,
    WHOLE,
    always,
    chunk,
    completed,
    endpoint,
    events,
    got,
    sending,
    streaming,
    usage,
)

KEY = "sesame-open-the-door-0123"


def failure(handler: Handler | None, asked: CompletionRequest = STREAM, **more: Any) -> Failure:
    """How a completion fails at a server that answers so."""
    with serve(handler) as server:
        exchange = completed(server.url, asked, **more)
    assert exchange.failure is not None, "it did not fail"
    assert not exchange.ok
    assert len(exchange.failure.message) <= 300
    return exchange.failure


def kind(handler: Handler | None, asked: CompletionRequest = STREAM, **more: Any) -> FailureKind:
    return failure(handler, asked, **more).kind


def dripping(start: bytes, pieces: Iterator[bytes], wait_s: float = 0.0) -> Handler:
    """Sends a start, and then piece after piece for as long as somebody takes them."""

    def answer(_: Request, connection: socket.socket) -> None:
        connection.sendall(start)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(wait_s)

    return answer


def test_never_answers() -> None:
    found = failure(None, limits=HASTY)
    assert (found.kind, found.phase) == (FailureKind.TIMEOUT, TimeoutPhase.FIRST_BYTE)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = completed(f"http://127.0.0.1:{port}").failure
    assert found is not None
    assert found.kind is FailureKind.CONNECT
    found = completed("http://no-such-host.invalid").failure
    assert found is not None
    assert found.kind in (FailureKind.CONNECT, FailureKind.TIMEOUT)


def test_one_byte_at_a_time_ends_with_the_total_time() -> None:
    found = failure(dripping(EVENTS, itertools.repeat(b":"), 0.1), limits=HASTY)
    assert (found.kind, found.phase) == (FailureKind.TIMEOUT, TimeoutPhase.TOTAL)


def test_headers_one_byte_at_a_time() -> None:
    found = failure(dripping(b"HTTP/1.1 200 OK\r\n", itertools.repeat(b"X"), 0.1), limits=HASTY)
    assert (found.kind, found.phase) == (FailureKind.TIMEOUT, TimeoutPhase.TOTAL)


def test_a_stream_that_stalls() -> None:
    def stall(_: Request, connection: socket.socket) -> None:
        connection.sendall(EVENTS + events(chunk("Hel")))
        time.sleep(1)

    found = failure(stall, limits=HASTY)
    assert (found.kind, found.phase) == (FailureKind.TIMEOUT, TimeoutPhase.IDLE)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (EVENTS, events(chunk("word"))),  # an endless stream
        (EVENTS, b"x" * 65536),  # a line of gigabytes
        (EVENTS, b"data: " + b"x" * 1000 + b"\n"),  # an event of gigabytes
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),  # a header of gigabytes
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 1000),  # headers without end
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b"[" * 65536),
        (b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n", b"no " * 20000),
    ],
)
def test_endless_things_are_too_large_and_are_not_kept(start: bytes, piece: bytes) -> None:
    tracemalloc.start()
    try:
        assert kind(dripping(start, itertools.repeat(piece))) is FailureKind.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(packing: str) -> None:
    zeros = b"data: " + b"\n" * (32 << 20)
    packed = gzip.compress(zeros, 1) if packing == "gzip" else zlib.compress(zeros)
    head = EVENTS.replace(b"\r\n\r\n", f"\r\nContent-Encoding: {packing}\r\n\r\n".encode())
    tracemalloc.start()
    try:
        assert kind(sending(head, packed)) is FailureKind.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_packed_without_being_asked() -> None:
    head = EVENTS.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    with serve(sending(head, gzip.compress(GOOD))) as server:
        assert completed(server.url).ok
    assert kind(sending(head, GOOD)) is FailureKind.NOT_HTTP
    assert kind(sending(head.replace(b"gzip", b"br"), GOOD)) is FailureKind.NOT_HTTP


def test_bad_text() -> None:
    assert (
        kind(streaming(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n'))
        is FailureKind.BAD_JSON
    )
    assert kind(streaming(events("{not json"))) is FailureKind.BAD_JSON
    assert kind(streaming(events({"choices": "none"}))) is FailureKind.BAD_JSON


def test_json_of_many_levels() -> None:
    deep = "[" * 10_000 + "]" * 10_000
    assert kind(streaming(events(f'{{"error": {deep}}}'))) in (
        FailureKind.BAD_JSON,
        FailureKind.IN_STREAM_ERROR,
    )
    assert kind(streaming(events(deep))) is FailureKind.BAD_JSON
    assert kind(always(200, deep), WHOLE) is FailureKind.BAD_JSON
    assert kind(always(500, deep), WHOLE) is FailureKind.HTTP_5XX


def test_json_deeper_than_the_interpreter_goes() -> None:
    with serve(always(200, "[" * 100_000 + "]" * 100_000)) as server:
        answer = got(server.url)
    with pytest.raises(Exception, match="bad-json"):
        answer.json()


def test_a_good_stream_in_an_odd_shape() -> None:
    text = GOOD.decode().replace("\n", "\r")
    first, rest = text.split("\r\r", 1)
    halves = first.replace('"choices"', '\rdata: "choices"')  # one event of two data lines
    odd = f"\ufeff: hello\r\rid: 1\revent: message\r{halves}\r\r{rest}".encode()
    with serve(streaming(odd[:30], odd[30:31], odd[31:])) as server:
        exchange = completed(server.url)
    assert exchange.ok
    assert exchange.content_chars == 5


def test_letters_cut_in_the_middle() -> None:
    stream = events(chunk("é€😀"), chunk(finish="stop"), "[DONE]").decode()
    stream = stream.replace("\\u00e9\\u20ac\\ud83d\\ude00", "é€😀")
    pieces = [bytes([byte]) for byte in stream.encode()]
    with serve(streaming(*pieces)) as server:
        exchange = completed(server.url, CompletionRequest(model="m", prompt="", keep_text=True))
    assert exchange.text == "é€😀"


def test_a_page_for_an_answer() -> None:
    page = always(200, "<!doctype html><title>Sign in</title>", "text/html")
    assert kind(page) is FailureKind.BAD_SSE
    assert kind(page, WHOLE) is FailureKind.BAD_JSON
    assert kind(always(502, "<h1>Bad Gateway</h1>", "text/html")) is FailureKind.HTTP_5XX


def test_no_stream_where_one_was_asked_for() -> None:
    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert kind(always(200, whole)) is FailureKind.BAD_SSE
    assert kind(always(200, {"error": {"message": "no"}})) is FailureKind.IN_STREAM_ERROR
    assert kind(always(200, "", "text/event-stream")) is FailureKind.TRUNCATED


def test_not_http() -> None:
    for said in (b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02", b"HTTP/2 200\r\n\r\n"):
        assert kind(sending(said)) is FailureKind.NOT_HTTP
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nxxx"
    assert kind(sending(upgrade)) is FailureKind.NOT_HTTP


def test_a_redirect_is_reported_and_the_key_stays() -> None:
    with serve(always(200, {})) as other:
        there = f"{other.url}/path?token=abc"
        for status in (301, 302, 303, 307, 308):
            found = failure(always(status, "", Location=there), key=SecretValue(KEY))
            assert found.kind is FailureKind.REDIRECT
            assert found.message == f"HTTP {status}, to http://127.0.0.1"
    assert other.requests == []
    assert kind(always(302, "", Location="/v1/chat/completions")) is FailureKind.REDIRECT
    assert kind(always(302, "", Location="http://[")) is FailureKind.REDIRECT
    assert kind(always(302, "")) is FailureKind.REDIRECT


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    stranger, ours = Authority(), Authority()
    file = tmp_path / "ca.pem"
    file.write_bytes(ours.certificate)
    for authority, hosts in ((stranger, ["127.0.0.1"]), (ours, ["elsewhere.example"])):
        secured = tls(authority.issue("server", hosts=hosts), tmp_path)
        with serve(streaming(GOOD), secured) as server:
            found = completed(server.url, ca_file=str(file)).failure
        assert found is not None
        assert found.kind is FailureKind.TLS
        assert "untrusted" in found.message
        assert server.requests == []


def test_a_certificate_that_has_expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.certificate)
    monkeypatch.setattr(certs, "LIFE", datetime.timedelta(minutes=-1))
    secured = tls(authority.issue("server", hosts=["127.0.0.1"]), tmp_path)
    with serve(streaming(GOOD), secured) as server:
        found = completed(server.url, ca_file=str(file)).failure
    assert found is not None
    assert found.kind is FailureKind.TLS
    assert "expired" in found.message


def test_tls_where_none_is_spoken() -> None:
    with serve(sending(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        found = completed(server.url.replace("http:", "https:"), limits=HASTY).failure
    assert found is not None
    assert found.kind in (FailureKind.TLS, FailureKind.TIMEOUT)


def test_silence_instead_of_a_handshake() -> None:
    with serve(None) as server:
        found = completed(server.url.replace("http:", "https:"), limits=HASTY).failure
    assert found is not None
    assert (found.kind, found.phase) == (FailureKind.TIMEOUT, TimeoutPhase.TLS)


@pytest.mark.parametrize("gently", [True, False])
@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        EVENTS,
        EVENTS + b'data: {"choices"',
        EVENTS + events(chunk("Hel")),
        EVENTS + events(chunk("Hel"), chunk(finish="stop"), usage(5, 1)),
    ],
)
def test_the_connection_ends_at_each_stage(before: bytes, gently: bool) -> None:
    def leave(_: Request, connection: socket.socket) -> None:
        connection.sendall(before)
        if not gently:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    assert kind(leave) is FailureKind.TRUNCATED


def test_a_body_shorter_than_it_says() -> None:
    assert (
        kind(sending(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + GOOD[:50])) is FailureKind.TRUNCATED
    )


def test_http_1_0() -> None:
    old = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with serve(sending(old, GOOD)) as server:
        exchange = completed(server.url)
    assert exchange.ok
    assert kind(sending(old, GOOD.replace(b"data: [DONE]\n\n", b""))) is FailureKind.TRUNCATED


def test_too_busy() -> None:
    found = failure(always(429, {"error": {"message": "slow down"}}, Retry_After="7"))
    assert (found.kind, found.status, found.retry_after_s) == (FailureKind.HTTP_429, 429, 7.0)
    dated = failure(always(429, "", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"))
    assert dated.retry_after_s is None
    overloaded = failure(always(529, {"message": "Service temporarily overloaded", "code": 529}))
    assert overloaded.kind is FailureKind.HTTP_529


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"error": {"message": "too long", "type": "BadRequestError", "code": 400}}, "too long (400)"),
        ({"object": "error", "message": "too long", "type": "E", "code": 400}, "too long (400)"),
        ({"message": "Model not found", "type": "Not Found", "code": 404}, "Model not found (404)"),
        (
            {"error": "Input validation error", "error_type": "bad_input"},
            "Input validation error (bad_input)",
        ),
        ({"detail": [{"loc": ["body", "x"], "msg": "Extra inputs"}]}, "Extra inputs"),
        ({"detail": "nope"}, "nope"),
        ("plain words\non two lines", "plain words on two lines"),
        ("", "an empty body"),
        ({}, "{}"),
        ([[[[[[[[]]]]]]]], "[[[[[[[[]]]]]]]]"),
    ],
)
def test_the_message_of_every_dialect(said: object, read: str) -> None:
    assert failure(always(400, said)).message == f"HTTP 400: {read}"


@pytest.mark.parametrize(
    "said",
    [
        b'data: {"error": {"message": "worker lost", "code": 503}}\n\n',
        b'data: {"object": "error", "message": "worker lost", "code": 503}\n\n',
        b'data: {"error": "worker lost (503)"}\n\n',
        b'error: {"code": 503, "message": "worker lost"}\n\n',
        b'event: error\ndata: {"message": "worker lost", "code": 503}\n\n',
        b"event: error\n: worker lost (503)\n\n",
    ],
)
def test_an_error_within_a_good_answer_is_a_failure(said: bytes) -> None:
    for stream in (events(chunk("Hel")) + said + events("[DONE]"), said + GOOD, said):
        found = failure(streaming(stream))
        assert found.kind is FailureKind.IN_STREAM_ERROR
        assert found.message == "worker lost (503)"


def test_answers_that_are_not_whole() -> None:
    assert kind(streaming(events(chunk("Hel"), chunk("lo"), "[DONE]"))) is FailureKind.TRUNCATED
    assert kind(streaming(events(chunk("Hel"), chunk("lo"), chunk(finish="stop")))) is FailureKind.TRUNCATED
    assert kind(streaming(events("[DONE]"))) is FailureKind.TRUNCATED


def test_an_empty_answer() -> None:
    assert (
        kind(streaming(events(chunk(""), chunk(finish="stop"), usage(5, 0), "[DONE]"))) is FailureKind.EMPTY
    )
    whole = {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}
    assert kind(always(200, whole), WHOLE) is FailureKind.EMPTY


def test_tokens_that_the_server_keeps_to_itself_are_no_empty_answer() -> None:
    """A model may spend its tokens on thoughts that its server does not show."""
    stream = events(chunk(""), chunk(finish="length"), usage(5, 8), "[DONE]")
    with serve(streaming(stream)) as server:
        exchange = completed(server.url)
    assert exchange.ok
    assert exchange.times.first_content is None


def test_a_key_that_the_server_sends_back_is_hidden() -> None:
    key = SecretValue(KEY)
    for handler in (
        always(401, {"error": {"message": f"wrong key {KEY}"}}),
        always(401, "x" * 290 + KEY),  # where the message is cut
        streaming(events({"error": f"wrong key {KEY}"})),
        always(401, {"error": {"message": "wrong key hf_abcdefghijklmnopqrstuvwxyz"}}),
    ):
        said = failure(handler, key=key).message
        assert KEY[:8] not in said
        assert "hf_abc" not in said


def test_an_answer_that_nobody_asked_for() -> None:
    """What follows the first answer is never taken for the second."""

    async def twice(url: str) -> list[Exchange]:
        async with Client(endpoint(url)) as client:
            return [await client.complete(WHOLE) for _ in range(2)]

    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    with serve(lambda *_: reply(200, whole) + reply(200, {"error": "old"})) as server:
        first, second = asyncio.run(twice(server.url))
    assert first.ok
    assert second.ok
    assert second.fresh
