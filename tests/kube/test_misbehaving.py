"""Servers that are stopped, slow, broken or somebody else: told apart, in time, and without a secret."""

import gzip
import http.server
import socket
import struct
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
    Request,
    items,
    make_trusted_tls,
    reply,
    send_and_close,
    serve,
    tls,
)

TIMEOUT = 1.0
PATH = "/apis/example.com/v1/things"
BROKE, FAILED = "cannot reach URL: the connection broke", f"URL{PATH}: status 500"
BECAUSE = {"kind": "Status", "message": "because"}
UNCHECKED = {"insecure_skip_tls_verify": True, "certificate_authority_data": None}


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


def read(server: FakeServer, folder: Path, **overrides: Any) -> list[Thing]:
    """The things that a server is asked for, by a kubeconfig with these changes."""
    return server.cluster(folder, **overrides).items(PATH, Thing)


# Nobody there, or not in time


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_nobody_listens_or_the_host_does_not_exist(tmp_path: Path) -> None:
    nobody, nowhere = f"https://127.0.0.1:{free_port()}", "https://nowhere.invalid"
    for url, says, within in ((nobody, "Connection refused", TIMEOUT), (nowhere, "", 25)):
        with refused(Unreachable, f"cannot reach {url}: {says}", within):
            read(FakeServer(url, b""), tmp_path, certificate_authority_data=None)


def test_it_takes_the_connection_and_says_nothing(tmp_path: Path) -> None:
    with (
        serve(None) as server,
        refused(TimedOut, f"cannot reach {server.url}: no complete response within 1 s"),
    ):
        read(server, tmp_path)
    with (
        serve(None, *make_trusted_tls(tmp_path)) as server,
        refused(Unreachable, "connected, but no TLS handshake"),
    ):
        read(server, tmp_path)


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
        read(server, tmp_path, timeout_s=0.5)


def test_pages_without_end(tmp_path: Path) -> None:
    def slow(request: Request, _: object) -> bytes:
        time.sleep(0.1)
        return reply(200, items({"name": "x"}, **{"continue": "more"}))

    with serve(slow) as server, refused(TimedOut, server.url):
        read(server, tmp_path)


# TLS


@pytest.mark.parametrize(
    ("host", "trusted", "overrides", "says"),
    [
        ("127.0.0.1", "issuer", {}, ""),
        ("127.0.0.1", "itself", {}, ""),
        ("127.0.0.1", "another", {}, "TLS: "),
        ("127.0.0.1", "issuer", {"certificate_authority_data": None}, "TLS: "),
        (
            "api.example.com",
            "issuer",
            {},
            "TLS: IP address mismatch, certificate is not valid for '127.0.0.1'",
        ),
        ("api.example.com", "issuer", {"tls_server_name": "api.example.com"}, ""),
        ("api.example.com", "issuer", UNCHECKED, ""),
    ],
)
def test_whom_the_kubeconfig_trusts(
    tmp_path: Path, host: str, trusted: str, overrides: dict[str, Any], says: str
) -> None:
    issuer = Authority()
    pair = issuer.issue("server", hosts=[host])
    authorities = {
        "issuer": issuer.certificate,
        "itself": pair.certificate,
        "another": Authority().certificate,
    }
    with serve(reply(200, items()), tls(pair, tmp_path), authorities[trusted]) as server:
        if not says:
            assert read(server, tmp_path, **overrides) == []
            return
        with refused(Unreachable, f"cannot reach {server.url}: {says}"):
            read(server, tmp_path, **overrides)
        assert server.requests == []


def test_an_expired_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Authority()
    monkeypatch.setattr(certs, "LIFE", timedelta(minutes=-1))
    context = tls(issuer.issue("server", hosts=["127.0.0.1"]), tmp_path)
    expired = refused(Unreachable, "TLS: certificate has expired")
    with serve(reply(200, items()), context, issuer.certificate) as server, expired:
        read(server, tmp_path)


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
    with serve(reply(200, items()), context, authority) as server:
        assert read(server, tmp_path) == []


def test_https_to_a_server_without_tls(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as plain:
        threading.Thread(target=plain.serve_forever, args=(0.02,), daemon=True).start()
        server = FakeServer(f"https://127.0.0.1:{plain.server_address[1]}", b"")
        with refused(Unreachable, f"cannot reach {server.url}: TLS: the server does not use TLS"):
            read(server, tmp_path, certificate_authority_data=None)
        plain.shutdown()


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_http_to_an_api_server(controlplane: Any, tmp_path: Path) -> None:
    server = FakeServer(controlplane.url.replace("https:", "http:"), b"")
    with refused(Unreachable, f"cannot reach {server.url}: the server uses TLS, but the URL says http"):
        read(server, tmp_path)


def test_a_connection_that_the_server_has_closed_is_not_used_again(tmp_path: Path) -> None:
    with serve(send_and_close(reply(200, items()))) as server:
        cluster = server.cluster(tmp_path)
        for _ in range(5):
            assert cluster.items(PATH, Thing) == []
            time.sleep(0.02)


# It answers, but not as an API server does


@pytest.mark.parametrize(
    ("sent", "kind", "says"),
    [
        (b"", Unreachable, BROKE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Unreachable, BROKE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{", Unreachable, BROKE),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnumber\r\n{",
            Unreachable,
            "the connection broke",
        ),
        (b"\x00\xff nothing of the kind\r\n\r\n", Unreachable, BROKE),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", Unreachable, BROKE),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", Unreachable, BROKE),
        (reply(200, "<html>Log in</html>", "text/html; charset=utf-8"), InvalidResponse, "text/html"),
        (reply(200, "<html>Log in</html>", "text/\x1b[31mhtml"), InvalidResponse, "text/ [31mhtml"),
        (reply(200, '{"kind": "ThingList", "items": [{"na'), InvalidResponse, "Input data was truncated"),
        (reply(200, ""), InvalidResponse, "truncated"),
        (b"HTTP/1.1 200 OK\r\nConte", InvalidResponse, "truncated"),
        (reply(200, "[]"), InvalidResponse, "Expected `object`, got `array`"),
        (reply(200, "{}"), InvalidResponse, "missing required field `kind`"),
        (reply(200, {"kind": "Status", "metadata": {}, "items": []}), InvalidResponse, "not a list"),
        (
            reply(200, {"kind": "ThingList", "metadata": {}}),
            InvalidResponse,
            "missing required field `items`",
        ),
        (
            reply(200, {"kind": "ThingList", "items": []}),
            InvalidResponse,
            "missing required field `metadata`",
        ),
        (
            reply(200, {**items(), "items": {"a": 1}}),
            InvalidResponse,
            "Expected `array | null`, got `object`",
        ),
        (reply(200, items({"name": 7})), InvalidResponse, "Expected `str`, got `int`"),
        (reply(200, {**items(), "metadata": {"continue": 7}}), InvalidResponse, "Expected `str`, got `int`"),
        (reply(200, b'{"kind": "ThingList\xff"}'), InvalidResponse, "not a Kubernetes API response"),
        (reply(200, b"[" * 100_000), InvalidResponse, "not a Kubernetes API response"),
        (reply(200, b"not gzip", Content_Encoding="gzip"), InvalidResponse, "cannot be decoded"),
        (
            reply(200, gzip.compress(b"[" * 99)[:-9], Content_Encoding="gzip"),
            InvalidResponse,
            "cannot be decoded",
        ),
        (reply(200, b"?", Content_Encoding="br"), InvalidResponse, "cannot be decoded"),
        (reply(204, ""), InvalidResponse, "truncated"),
        (reply(500, ""), StatusError, FAILED),
        (reply(500, "<html>"), StatusError, FAILED),
        (reply(500, "[]"), StatusError, FAILED),
        (reply(500, '{"message": 7}'), StatusError, FAILED),
        (reply(500, b"\xff"), StatusError, FAILED),
        (reply(500, b"[" * 100_000), StatusError, FAILED),
        (reply(400, BECAUSE), StatusError, "status 400: because"),
        (reply(401, BECAUSE), Unauthorized, "the credentials are not accepted (401)"),
        (reply(403, BECAUSE), Forbidden, "because (403)"),
        (reply(404, BECAUSE), NotFound, f"URL{PATH}: not found (404): because"),
        (reply(429, BECAUSE), StatusError, "status 429: because"),
        (reply(500, BECAUSE), StatusError, "status 500: because"),
        (reply(503, BECAUSE), StatusError, "status 503: because"),
    ],
)
def test_what_is_no_list_is_told_apart(tmp_path: Path, sent: bytes, kind: type[KubeError], says: str) -> None:
    with serve(send_and_close(sent)) as server:
        with refused(kind, says.replace("URL", server.url)):
            read(server, tmp_path)
        is_final = issubclass(kind, StatusError) and not sent.startswith(b"HTTP/1.1 503")
        assert len(server.requests) == 1 or not is_final


def test_a_huge_answer_is_given_up(tmp_path: Path) -> None:
    def flood(request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        block = b" " * (1 << 20)
        while True:
            connection.sendall(block)

    with serve(flood) as server, refused(InvalidResponse, "a response of more than 128 MiB", within=1):
        read(server, tmp_path, timeout_s=5)


def test_a_huge_answer_in_a_small_one_is_given_up(tmp_path: Path) -> None:
    bomb = reply(200, gzip.compress(b" " * (200 << 20), 1), Content_Encoding="gzip")
    with serve(bomb) as server, refused(InvalidResponse, "a response of more than 128 MiB", within=1):
        read(server, tmp_path, timeout_s=5)


def test_control_characters_in_headers_do_no_harm(tmp_path: Path) -> None:
    with serve(reply(200, items({"name": "x"}), X_Odd="\x01\x7f\x1b[31m", X_Tab="\t")) as server:
        assert read(server, tmp_path) == [Thing("x")]


def test_lists_travel_compressed(tmp_path: Path) -> None:
    with serve(reply(200, gzip.compress(b'{"name": "x"}'), Content_Encoding="gzip")) as server:
        assert server.cluster(tmp_path).get(PATH, Thing) == Thing("x")
    assert server.requests[0].headers["accept-encoding"] == "gzip"


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with serve(reply(200, items())) as other:
        answer = reply(302, "", Location=f"{other.url}/login?secret=1")
        with serve(answer) as server, refused(StatusError, "redirected (302)"):
            read(server, tmp_path)
    assert other.requests == []


@pytest.mark.parametrize(
    ("user", "secret", "shown"),
    [
        ({}, f"hf_{'a' * 30}", "no [31mBearer [hidden] [hidden]"),
        ({"token": None, "username": "me", "password": "pass-word"}, "pass-word", "Basic [hidden] [hidden]"),
    ],
    ids=["token", "password"],
)
def test_what_a_server_echoes_is_hidden(
    tmp_path: Path, user: dict[str, Any], secret: str, shown: str
) -> None:
    def echo(request: Request, _: object) -> bytes:
        said = f"no\n\x1b[31m{request.headers['authorization']} {secret}"
        return reply(403, {"kind": "Status", "message": said})

    with serve(echo) as server, refused(Forbidden, shown):
        read(server, tmp_path, **user)


# It asks for patience


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(tmp_path: Path, status: int) -> None:
    answers = [reply(status, {"message": "busy"}, Retry_After="1"), reply(200, items({"name": "x"}))]
    with serve(lambda *_: answers.pop(0)) as server:
        start = time.monotonic()
        assert read(server, tmp_path, timeout_s=3) == [Thing("x")]
        assert time.monotonic() - start >= 1


@pytest.mark.parametrize("after", ["1", "60", "99999999999999999999", "-1", "soon", "²", "1e9", "nan"])
def test_retry_after_is_bounded(tmp_path: Path, after: str) -> None:
    with serve(reply(429, {"message": "busy"}, Retry_After=after)) as server:
        with refused(StatusError, "status 429: busy", within=0):
            read(server, tmp_path, timeout_s=0.8)
        assert len(server.requests) == 1


def test_retry_at_once_is_not_taken_literally(tmp_path: Path) -> None:
    with serve(reply(429, {"message": "busy"}, Retry_After="0")) as server:
        with refused(StatusError, "status 429: busy"):
            read(server, tmp_path)
        assert 5 < len(server.requests) < 12


Misbehaviour = Callable[[socket.socket], bytes | None]


def answer_busy(status: int) -> Misbehaviour:
    return lambda _: reply(status, {"message": "restarting"})


def reset(connection: socket.socket) -> None:
    """Close the connection with a TCP reset, as a load balancer does that lost its server."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stop_in_the_middle(connection: socket.socket) -> None:
    connection.sendall(reply(200, items({"name": "cut"}))[:-5])


@pytest.mark.parametrize(
    ("misbehave", "at"),
    [
        *((answer_busy(status), "start") for status in (502, 503, 504)),
        (reset, "start"),
        (answer_busy(503), "second page"),
        (reset, "second page"),
        (stop_in_the_middle, "second page"),
    ],
)
def test_a_get_survives_two_faults(tmp_path: Path, misbehave: Misbehaviour, at: str) -> None:
    pages = [items({"name": "a"}, **{"continue": "more"}), items({"name": "b"})]
    faults = [misbehave, misbehave]
    fails_from = 0 if at == "start" else 1

    def answer(request: Request, connection: socket.socket) -> bytes | None:
        number = int("continue=" in request.target)
        if faults and number == fails_from:
            return faults.pop()(connection)
        return reply(200, pages[number])

    with serve(answer) as server:
        cluster = server.cluster(tmp_path, timeout_s=5)
        assert cluster.items(PATH, Thing) == [Thing("a"), Thing("b")]
    assert cluster.retries.total() == 2
    assert len(server.requests) == 4


def test_the_start_of_a_stream_survives_two_faults(tmp_path: Path) -> None:
    faults = [answer_busy(503), reset]
    with serve(lambda _, connection: faults.pop()(connection) if faults else reply(200, "{}")) as server:
        assert server.cluster(tmp_path).stream(PATH, {}, 5).read() == b"{}"


@pytest.mark.parametrize("misbehave", [answer_busy(503), reset])
def test_nothing_but_a_get_is_sent_again_for_a_fault(tmp_path: Path, misbehave: Misbehaviour) -> None:
    """Except once, when the connection may have been too old."""
    with serve(lambda _, connection: misbehave(connection)) as server:
        with pytest.raises((StatusError, Unreachable)):
            server.cluster(tmp_path).send("POST", PATH, {}, b"{}")
        assert len(server.requests) <= 2


@pytest.mark.parametrize("misbehave", [answer_busy(503), reset])
def test_faults_without_end_are_told_within_the_limit(tmp_path: Path, misbehave: Misbehaviour) -> None:
    with serve(lambda _, connection: misbehave(connection)) as server:
        start = time.monotonic()
        with pytest.raises((StatusError, Unreachable)):
            read(server, tmp_path, timeout_s=0.5)
        assert time.monotonic() - start < 0.5 + SLACK
        assert 2 <= len(server.requests) <= 4


# Credentials that cannot be made


def test_a_failure_to_make_credentials_is_remembered(tmp_path: Path) -> None:
    with serve(reply(200, items())) as server:
        cluster = server.cluster(tmp_path, token=None, tokenFile="/nowhere/token")
        for _ in range(2):
            with refused(CredentialsFailed, "token file /nowhere/token: No such file"):
                cluster.items(PATH, Thing)
        assert server.requests == []


def test_many_threads_share_the_connections(tmp_path: Path) -> None:
    with serve(reply(200, items({"name": "x"}))) as server:
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
    with serve(reply(200, items()), context, authority) as server:
        cluster = server.cluster(tmp_path, client_certificate="user.crt", client_key="user.key")
        with refused(CredentialsFailed, "not a PEM pair, or encrypted"):
            cluster.items(PATH, Thing)


def test_a_token_file_that_is_renewed_is_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("the-first-one")
    accepted = ["the-first-one"]

    def answer(request: Request, _: object) -> bytes:
        known = request.headers["authorization"] == f"Bearer {accepted[-1]}"
        return reply(200, items({"name": "a"})) if known else reply(401, {"message": "no"})

    with serve(answer) as server:
        cluster = server.cluster(tmp_path, token=None, tokenFile=str(token))
        assert cluster.items(PATH, Thing) == [Thing("a")]
        accepted.append("the-second-one")
        with refused(Unauthorized, "not accepted (401)"):
            cluster.items(PATH, Thing)
        asked = len(server.requests)
        token.write_text(accepted[-1])
        assert run_parallel([partial(cluster.items, PATH, Thing)] * 4) == [[Thing("a")]] * 4
        assert 5 <= len(server.requests) - asked <= 8, "nobody asks a third time"
