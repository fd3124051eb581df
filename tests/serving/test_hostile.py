"""Servers that fail in every way: each ends within its limits, in the right class, in bounded memory."""

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
    whole,
)

KEY = "sesame-open-the-door-0123"


def failure(handler: Handler | None, asked: CompletionRequest = STREAM, **more: Any) -> Failure:
    """How a completion fails at a server that answers so."""
    with serve(handler) as server:
        return failure_at(server.url, asked, **more)


def failure_at(url: str, asked: CompletionRequest = STREAM, **more: Any) -> Failure:
    exchange = completed(url, asked, **more)
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


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert failure_at(f"http://127.0.0.1:{port}").kind is FailureKind.CONNECT
    found = failure_at("http://no-such-host.invalid")
    assert found.kind in (FailureKind.CONNECT, FailureKind.TIMEOUT)


@pytest.mark.parametrize(
    ("handler", "phase"),
    [
        (None, TimeoutPhase.FIRST_BYTE),
        (dripping(EVENTS, itertools.repeat(b":"), 0.1), TimeoutPhase.TOTAL),
        (dripping(b"HTTP/1.1 200 OK\r\n", itertools.repeat(b"X"), 0.1), TimeoutPhase.TOTAL),
        (dripping(EVENTS, itertools.repeat(events(chunk("Hel")), 1), 1), TimeoutPhase.IDLE),
    ],
    ids=["silence", "a stream byte by byte", "headers byte by byte", "a stream that stalls"],
)
def test_slow_things_end_in_time(handler: Handler | None, phase: TimeoutPhase) -> None:
    found = failure(handler, limits=HASTY)
    assert (found.kind, found.phase) == (FailureKind.TIMEOUT, phase)


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
    assert_not_kept(dripping(start, itertools.repeat(piece)))


def assert_not_kept(handler: Handler) -> None:
    """What the server sends is too large, which is found before it fills the memory."""
    tracemalloc.start()
    try:
        assert kind(handler) is FailureKind.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(packing: str) -> None:
    zeros = b"data: " + b"\n" * (32 << 20)
    packed = gzip.compress(zeros, 1) if packing == "gzip" else zlib.compress(zeros)
    head = EVENTS.replace(b"\r\n\r\n", f"\r\nContent-Encoding: {packing}\r\n\r\n".encode())
    assert_not_kept(sending(head, packed))


def test_packed_without_being_asked() -> None:
    head = EVENTS.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    with serve(sending(head, gzip.compress(GOOD))) as server:
        assert completed(server.url).ok
    assert kind(sending(head, GOOD)) is FailureKind.NOT_HTTP
    assert kind(sending(head.replace(b"gzip", b"br"), GOOD)) is FailureKind.NOT_HTTP


DEEP = "[" * 10_000 + "]" * 10_000
PAGE = "<!doctype html><title>Sign in</title>"
GOODBYE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nxxx"
HALF, LAST = (chunk("Hel"), chunk("lo")), chunk(finish="stop")


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (streaming(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n'), FailureKind.BAD_JSON),
        (streaming(events("{not json")), FailureKind.BAD_JSON),
        (streaming(events({"choices": "none"})), FailureKind.BAD_JSON),
        (streaming(events(DEEP)), FailureKind.BAD_JSON),
        (always(200, PAGE, "text/html"), FailureKind.BAD_SSE),
        (always(502, "<h1>Bad Gateway</h1>", "text/html"), FailureKind.HTTP_5XX),
        (always(200, whole("Hi")), FailureKind.BAD_SSE),
        (always(200, {"error": {"message": "no"}}), FailureKind.IN_STREAM_ERROR),
        (always(200, "", "text/event-stream"), FailureKind.TRUNCATED),
        (sending(b"SSH-2.0-OpenSSH_9.6\r\n"), FailureKind.NOT_HTTP),
        (sending(b"\x15\x03\x01\x00\x02\x02"), FailureKind.NOT_HTTP),
        (sending(b"HTTP/2 200\r\n\r\n"), FailureKind.NOT_HTTP),
        (sending(GOODBYE), FailureKind.NOT_HTTP),
        (sending(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + GOOD[:50]), FailureKind.TRUNCATED),
        (streaming(events(*HALF, "[DONE]")), FailureKind.TRUNCATED),
        (streaming(events(*HALF, LAST)), FailureKind.TRUNCATED),
        (streaming(events("[DONE]")), FailureKind.TRUNCATED),
        (streaming(events(chunk(""), LAST, usage(5, 0), "[DONE]")), FailureKind.EMPTY),
    ],
)
def test_what_is_no_good_stream(handler: Handler, expected: FailureKind) -> None:
    assert kind(handler) is expected


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (always(200, DEEP), FailureKind.BAD_JSON),
        (always(500, DEEP), FailureKind.HTTP_5XX),
        (always(200, PAGE, "text/html"), FailureKind.BAD_JSON),
        (always(200, whole(None)), FailureKind.EMPTY),
    ],
)
def test_what_is_no_good_answer(handler: Handler, expected: FailureKind) -> None:
    assert kind(handler, WHOLE) is expected


def test_an_error_of_many_levels() -> None:
    found = kind(streaming(events(f'{{"error": {DEEP}}}')))
    assert found in (FailureKind.BAD_JSON, FailureKind.IN_STREAM_ERROR)


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
            found = failure_at(server.url, ca_file=str(file))
        assert (found.kind, "untrusted" in found.message) == (FailureKind.TLS, True)
        assert server.requests == []


def test_a_certificate_that_has_expired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.certificate)
    monkeypatch.setattr(certs, "LIFE", datetime.timedelta(minutes=-1))
    secured = tls(authority.issue("server", hosts=["127.0.0.1"]), tmp_path)
    with serve(streaming(GOOD), secured) as server:
        found = failure_at(server.url, ca_file=str(file))
    assert (found.kind, "expired" in found.message) == (FailureKind.TLS, True)


def test_tls_where_none_is_spoken() -> None:
    with serve(sending(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        found = failure_at(server.url.replace("http:", "https:"), limits=HASTY)
    assert found.kind in (FailureKind.TLS, FailureKind.TIMEOUT)
    with serve(None) as server:
        found = failure_at(server.url.replace("http:", "https:"), limits=HASTY)
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
        ({"error": "Validation error", "error_type": "bad_input"}, "Validation error (bad_input)"),
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

    with serve(lambda *_: reply(200, whole("Hi")) + reply(200, {"error": "old"})) as server:
        first, second = asyncio.run(twice(server.url))
    assert (first.ok, second.ok, second.fresh) == (True, True, True)
