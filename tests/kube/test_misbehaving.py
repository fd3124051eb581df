"""Servers that are stopped, slow, broken or somebody else: told apart, in time, and without a secret."""

from __future__ import annotations

import gzip
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dynocheck.kube import (
    CredentialsFailed,
    Forbidden,
    InvalidResponse,
    KubeError,
    NotFound,
    StatusError,
    TimedOut,
    Unauthorized,
    Unreachable,
    run_parallel,
)
from tests.controlplane import certs
from tests.controlplane.certs import Authority
from tests.kube.servers import (
    SLACK,
    TOKEN,
    FakeServer,
    Handler,
    Request,
    items,
    make_trusted_tls,
    reply,
    serve,
    tls,
)

TIMEOUT = 1.0
PATH = "/apis/example.com/v1/things"


class Thing(msgspec.Struct):
    name: str


@contextmanager
def refused(kind: type[KubeError], says: str, within: float = TIMEOUT) -> Iterator[None]:
    """What is inside fails with this class and text, in one line, in time, and tells no token."""
    start = time.monotonic()
    with pytest.raises(KubeError) as raised:
        yield
    assert time.monotonic() - start < within + SLACK
    assert type(raised.value) is kind
    text = str(raised.value)
    assert says in text
    assert text.isprintable()
    assert TOKEN not in repr(raised.value) + text


def answering(answer: bytes | Callable[[Request], bytes]) -> Handler:
    def handle(request: Request, connection: socket.socket) -> bytes:
        return answer if isinstance(answer, bytes) else answer(request)

    return handle


# Nobody there, or not in time


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_nobody_listens(tmp_path: Path) -> None:
    server = FakeServer(f"https://127.0.0.1:{free_port()}", b"")
    cluster = server.cluster(tmp_path, certificate_authority_data=None)
    with refused(Unreachable, f"cannot reach {server.url}: Connection refused"):
        cluster.items(PATH, Thing)


def test_no_such_host(tmp_path: Path) -> None:
    cluster = FakeServer("https://nowhere.invalid", b"").cluster(tmp_path, certificate_authority_data=None)
    with refused(Unreachable, "cannot reach https://nowhere.invalid: ", within=25):
        cluster.items(PATH, Thing)


def test_it_takes_the_connection_and_says_nothing(tmp_path: Path) -> None:
    with serve(None) as server, refused(TimedOut, f"{server.url}{PATH}: no complete response within 1 s"):
        server.cluster(tmp_path).items(PATH, Thing)


def test_no_tls_handshake_follows(tmp_path: Path) -> None:
    context, authority = make_trusted_tls(tmp_path)
    with (
        serve(None, context, authority) as server,
        refused(Unreachable, f"cannot reach {server.url}: connected, but no TLS handshake"),
    ):
        server.cluster(tmp_path).items(PATH, Thing)


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("part", ["head", "body", "chunks"])
def test_one_byte_at_a_time(tmp_path: Path, secured: bool, part: str) -> None:
    starts = {
        "head": b"HTTP/1.1 200 OK\r\nX: ",
        "body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    }

    def drip(request: Request, connection: socket.socket) -> None:
        connection.sendall(starts[part])
        for _ in range(300):
            connection.sendall(b"1\r\nx\r\n" if part == "chunks" else b"x")
            time.sleep(0.1)

    context, authority = make_trusted_tls(tmp_path) if secured else (None, b"")
    with serve(drip, context, authority) as server, refused(TimedOut, server.url):
        server.cluster(tmp_path, timeout_s=0.5).items(PATH, Thing)


def test_pages_without_end(tmp_path: Path) -> None:
    def slow(request: Request) -> bytes:
        time.sleep(0.1)
        return reply(200, items({"name": "x"}, **{"continue": "more"}))

    with serve(answering(slow)) as server, refused(TimedOut, server.url):
        server.cluster(tmp_path).items(PATH, Thing)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnumber\r\n{",
        b"\x00\xff nothing of the kind\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "body", "chunk", "chunk-size", "noise", "many-headers", "long-header"],
)
def test_it_breaks_off(tmp_path: Path, sent: bytes) -> None:
    def hang_up(request: Request, connection: socket.socket) -> None:
        connection.sendall(sent)

    with serve(hang_up) as server, refused(Unreachable, f"cannot reach {server.url}: the connection broke"):
        server.cluster(tmp_path).items(PATH, Thing)


# TLS


def test_another_authority(tmp_path: Path) -> None:
    context, _ = make_trusted_tls(tmp_path)
    with (
        serve(answering(reply(200, items())), context, Authority().certificate) as server,
        refused(Unreachable, f"cannot reach {server.url}: TLS: "),
    ):
        server.cluster(tmp_path).items(PATH, Thing)
    assert server.requests == []


def test_an_expired_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority()
    monkeypatch.setattr(certs, "LIFE", timedelta(minutes=-1))
    context = tls(authority.issue("server", hosts=["127.0.0.1"]), tmp_path)
    with (
        serve(answering(reply(200, items())), context, authority.certificate) as server,
        refused(Unreachable, "TLS: certificate has expired"),
    ):
        server.cluster(tmp_path).items(PATH, Thing)


def test_a_certificate_for_another_host(tmp_path: Path) -> None:
    authority = Authority()
    context = tls(authority.issue("server", hosts=["api.example.com"]), tmp_path)
    with serve(answering(reply(200, items())), context, authority.certificate) as server:
        with refused(Unreachable, "TLS: IP address mismatch, certificate is not valid for '127.0.0.1'"):
            server.cluster(tmp_path).items(PATH, Thing)
        named = server.cluster(tmp_path, tls_server_name="api.example.com")
        assert named.items(PATH, Thing) == []
        unchecked = server.cluster(tmp_path, insecure_skip_tls_verify=True, certificate_authority_data=None)
        assert unchecked.items(PATH, Thing) == []


def test_without_an_authority_only_the_systems_are_trusted(tmp_path: Path) -> None:
    context, authority = make_trusted_tls(tmp_path)
    with (
        serve(answering(reply(200, items())), context, authority) as server,
        refused(Unreachable, "TLS: "),
    ):
        server.cluster(tmp_path, certificate_authority_data=None).items(PATH, Thing)


def test_a_pinned_certificate_is_trusted_by_itself(tmp_path: Path) -> None:
    pair = Authority().issue("server", hosts=["127.0.0.1"])
    with serve(answering(reply(200, items())), tls(pair, tmp_path), pair.certificate) as server:
        assert server.cluster(tmp_path).items(PATH, Thing) == []


def test_an_old_authority_is_trusted_as_go_trusts_it(tmp_path: Path) -> None:
    """Many clusters' authorities have no key identifiers, which Python 3.13 asks for by itself."""
    key, own_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    old, own = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("old", "own"))
    now, day = datetime.now(UTC), timedelta(1)
    ca = x509.CertificateBuilder(old, old, key.public_key(), 1, now - day, now + day)
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    named = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    leaf = x509.CertificateBuilder(old, own, own_key.public_key(), 2, now - day, now + day)
    authority, certificate = (
        each.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        for each in (ca, leaf.add_extension(named, False))
    )
    context = tls(certs.Pair(certificate, certs.private_key(own_key)), tmp_path)
    with serve(answering(reply(200, items())), context, authority) as server:
        assert server.cluster(tmp_path).items(PATH, Thing) == []


def test_https_to_a_server_without_tls(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as plain:
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        server = FakeServer(f"https://127.0.0.1:{plain.server_address[1]}", b"")
        with refused(Unreachable, f"cannot reach {server.url}: TLS: the server does not use TLS"):
            server.cluster(tmp_path, certificate_authority_data=None).items(PATH, Thing)
        plain.shutdown()


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_http_to_an_api_server(controlplane: Any, tmp_path: Path) -> None:
    server = FakeServer(controlplane.url.replace("https:", "http:"), b"")
    with refused(Unreachable, f"cannot reach {server.url}: the server uses TLS, but the URL says http"):
        server.cluster(tmp_path).items(PATH, Thing)


def test_a_connection_that_the_server_has_closed_is_not_used_again(tmp_path: Path) -> None:
    def once(request: Request, connection: socket.socket) -> None:
        connection.sendall(reply(200, items()))

    with serve(once) as server:
        cluster = server.cluster(tmp_path)
        for _ in range(5):
            assert cluster.items(PATH, Thing) == []
            time.sleep(0.02)


# It answers, but not as an API server does


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(200, "<html>Log in</html>", "text/html; charset=utf-8"), "text/html"),
        (reply(200, "<html>Log in</html>", "text/\x1b[31mhtml"), "text/ [31mhtml"),
        (reply(200, '{"kind": "ThingList", "items": [{"na'), "Input data was truncated"),
        (reply(200, ""), "truncated"),
        (b"HTTP/1.1 200 OK\r\nConte", "truncated"),
        (reply(200, "[]"), "Expected `object`, got `array`"),
        (reply(200, "{}"), "missing required field `kind`"),
        (reply(200, {"kind": "Status", "metadata": {}, "items": []}), "not a list"),
        (reply(200, {"kind": "ThingList", "metadata": {}}), "missing required field `items`"),
        (reply(200, {"kind": "ThingList", "items": []}), "missing required field `metadata`"),
        (reply(200, {**items(), "items": {"a": 1}}), "Expected `array | null`, got `object`"),
        (reply(200, items({"name": 7})), "Expected `str`, got `int`"),
        (reply(200, {**items(), "metadata": {"continue": 7}}), "Expected `str`, got `int`"),
        (reply(200, b'{"kind": "ThingList\xff"}'), "not a Kubernetes API response"),
        (reply(200, b"[" * 100_000), "not a Kubernetes API response"),
        (reply(200, b"not gzip", Content_Encoding="gzip"), "cannot be decoded"),
        (reply(200, gzip.compress(b"[" * 99)[:-9], Content_Encoding="gzip"), "cannot be decoded"),
        (reply(200, b"?", Content_Encoding="br"), "cannot be decoded"),
        (reply(204, ""), "truncated"),
    ],
)
def test_another_shape_is_no_empty_list(tmp_path: Path, answer: bytes, says: str) -> None:
    def answer_once(request: Request, connection: socket.socket) -> None:
        connection.sendall(answer)

    with serve(answer_once) as server, refused(InvalidResponse, says):
        server.cluster(tmp_path).items(PATH, Thing)


def test_no_items_are_told_as_null_too(tmp_path: Path) -> None:
    with serve(answering(reply(200, {**items(), "items": None}))) as server:
        assert server.cluster(tmp_path).items(PATH, Thing) == []


def test_a_huge_answer_is_given_up(tmp_path: Path) -> None:
    def flood(request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        block = b" " * (1 << 20)
        while True:
            connection.sendall(block)

    with serve(flood) as server, refused(InvalidResponse, "a response of more than 128 MiB", within=1):
        server.cluster(tmp_path, timeout_s=5).items(PATH, Thing)


def test_a_huge_answer_in_a_small_one_is_given_up(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * (200 << 20), 1)
    answer = reply(200, bomb, Content_Encoding="gzip")
    with (
        serve(answering(answer)) as server,
        refused(InvalidResponse, "a response of more than 128 MiB", within=1),
    ):
        server.cluster(tmp_path, timeout_s=5).items(PATH, Thing)


def test_control_characters_in_headers_do_no_harm(tmp_path: Path) -> None:
    answer = reply(200, items({"name": "x"}), X_Odd="\x01\x7f\x1b[31m", X_Tab="\t")
    with serve(answering(answer)) as server:
        assert server.cluster(tmp_path).items(PATH, Thing) == [Thing("x")]


def test_lists_travel_compressed(tmp_path: Path) -> None:
    def handle(request: Request) -> bytes:
        assert request.headers["accept-encoding"] == "gzip"
        return reply(200, gzip.compress(b'{"name": "x"}'), Content_Encoding="gzip")

    with serve(answering(handle)) as server:
        assert server.cluster(tmp_path).get(PATH, Thing) == Thing("x")


# It says no


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (400, StatusError, "status 400: because"),
        (401, Unauthorized, "the credentials are not accepted (401)"),
        (403, Forbidden, "because (403)"),
        (404, NotFound, f"{PATH}: not found (404): because"),
        (429, StatusError, "status 429: because"),
        (500, StatusError, "status 500: because"),
        (503, StatusError, "status 503: because"),
    ],
)
def test_errors_are_told_apart(tmp_path: Path, status: int, kind: type[StatusError], says: str) -> None:
    answer = reply(status, {"kind": "Status", "message": "because"})
    with serve(answering(answer)) as server:
        with refused(kind, says) as _:
            server.cluster(tmp_path).items(PATH, Thing)
        assert len(server.requests) == 1


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"message": 7}', b"\xff", b"[" * 100_000])
def test_an_error_need_not_be_json(tmp_path: Path, body: str | bytes) -> None:
    with (
        serve(answering(reply(500, body))) as server,
        refused(StatusError, f"{server.url}{PATH}: status 500"),
    ):
        server.cluster(tmp_path).items(PATH, Thing)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with serve(answering(reply(200, items()))) as other:
        answer = reply(302, "", Location=f"{other.url}/login?secret=1")
        with serve(answering(answer)) as server, refused(StatusError, "redirected (302)"):
            server.cluster(tmp_path).items(PATH, Thing)
    assert other.requests == []


def test_what_a_server_echoes_is_hidden(tmp_path: Path) -> None:
    def echo(request: Request) -> bytes:
        said = f"no\n\x1b[31m{request.headers['authorization']} hf_{'a' * 30}"
        return reply(403, {"kind": "Status", "message": said})

    with serve(answering(echo)) as server, refused(Forbidden, "no [31mBearer [hidden] [hidden]"):
        server.cluster(tmp_path).items(PATH, Thing)


def test_a_password_is_hidden_too(tmp_path: Path) -> None:
    def echo(request: Request) -> bytes:
        return reply(500, {"kind": "Status", "message": f"{request.headers['authorization']} {'pass-word'}"})

    with serve(answering(echo)) as server, refused(StatusError, "Basic [hidden] [hidden]"):
        server.cluster(tmp_path, token=None, username="me", password="pass-word").items(PATH, Thing)


# It asks for patience


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(tmp_path: Path, status: int) -> None:
    answers = [reply(status, {"message": "busy"}, Retry_After="1"), reply(200, items({"name": "x"}))]
    with serve(answering(lambda request: answers.pop(0))) as server:
        start = time.monotonic()
        assert server.cluster(tmp_path, timeout_s=3).items(PATH, Thing) == [Thing("x")]
        assert time.monotonic() - start >= 1


@pytest.mark.parametrize("after", ["1", "60", "99999999999999999999", "-1", "soon", "²", "1e9", "nan"])
def test_retry_after_is_bounded(tmp_path: Path, after: str) -> None:
    answer = reply(429, {"message": "busy"}, Retry_After=after)
    with serve(answering(answer)) as server:
        with refused(StatusError, "status 429: busy", within=0):
            server.cluster(tmp_path, timeout_s=0.8).items(PATH, Thing)
        assert len(server.requests) == 1


def test_retry_at_once_is_not_taken_literally(tmp_path: Path) -> None:
    answer = reply(429, {"message": "busy"}, Retry_After="0")
    with serve(answering(answer)) as server:
        with refused(StatusError, "status 429: busy"):
            server.cluster(tmp_path).items(PATH, Thing)
        assert 5 < len(server.requests) < 12


# Credentials that cannot be made


def test_a_failure_to_make_credentials_is_remembered(tmp_path: Path) -> None:
    with serve(answering(reply(200, items()))) as server:
        cluster = server.cluster(tmp_path, token=None, tokenFile="/nowhere/token")
        for _ in range(2):
            with refused(CredentialsFailed, "token file /nowhere/token: No such file"):
                cluster.items(PATH, Thing)
        assert server.requests == []


def test_many_threads_share_the_connections(tmp_path: Path) -> None:
    with serve(answering(reply(200, items({"name": "x"})))) as server:
        cluster = server.cluster(tmp_path)
        calls = [lambda: cluster.items(PATH, Thing)] * 100
        assert run_parallel(calls) == [[Thing("x")]] * 100
        assert len(server.requests) == 100


def test_an_encrypted_key_asks_no_terminal_for_its_password(tmp_path: Path) -> None:
    pair = Authority().issue("somebody")
    key = serialization.load_pem_private_key(pair.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hush"),
    )
    (tmp_path / "user.crt").write_bytes(pair.certificate)
    (tmp_path / "user.key").write_bytes(locked)
    context, authority = make_trusted_tls(tmp_path)
    with serve(answering(reply(200, items())), context, authority) as server:
        cluster = server.cluster(tmp_path, client_certificate="user.crt", client_key="user.key")
        with refused(CredentialsFailed, "not a PEM pair, or encrypted"):
            cluster.items(PATH, Thing)


def test_a_token_file_that_is_renewed_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("the-first-one")
    accepted = ["the-first-one"]

    def answer(request: Request) -> bytes:
        known = request.headers["authorization"] == f"Bearer {accepted[-1]}"
        return reply(200, items({"name": "a"})) if known else reply(401, {"message": "no"})

    with serve(answering(answer)) as server:
        cluster = server.cluster(tmp_path, token=None, tokenFile=str(token))
        assert cluster.items(PATH, Thing) == [Thing("a")]
        accepted.append("the-second-one")
        with refused(Unauthorized, "not accepted (401)"):
            cluster.items(PATH, Thing)
        asked = len(server.requests)
        token.write_text(accepted[-1])
        assert run_parallel([partial(cluster.items, PATH, Thing)] * 4) == [[Thing("a")]] * 4
        assert 5 <= len(server.requests) - asked <= 8, "nobody asks a third time"
