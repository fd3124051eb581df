"""What is suggested about an endpoint that does not answer, by real sockets and certificates."""

import datetime
import socket
from pathlib import Path

import pytest

from dynocheck.core.endpoint_remedies import suggest_remedy
from tests.controlplane.certs import Authority
from tests.kube.servers import reply, serve
from tests.serving.asking import HASTY, got

MODELS = reply(200, {"data": []})


def remedy(url: str, ca_file: Path | None = None) -> str:
    """The fix of the failure that a request ends in."""
    failure = got(url, limits=HASTY, ca_file=str(ca_file) if ca_file else None).failure
    assert failure is not None
    return suggest_remedy(failure.kind, failure.status, failure.message)


@pytest.mark.parametrize(
    ("host", "minutes", "trusted", "expected"),
    [
        ("127.0.0.1", 9, False, "--ca-file FILE"),
        ("127.0.0.1", -2, True, "renew the server's certificate"),
        ("gateway.example", 9, True, "a host that the certificate names"),
    ],
)
def test_certificates(tmp_path: Path, host: str, minutes: int, trusted: bool, expected: str) -> None:
    authority, file = Authority(), tmp_path / "ca.pem"
    file.write_bytes(authority.certificate)
    pair = authority.issue("server", hosts=[host], life=datetime.timedelta(minutes=minutes))
    with serve(MODELS, pair.serving(tmp_path)) as server:
        assert expected in remedy(server.url, file if trusted else None)


def test_the_fixes_of_certificates_mend(tmp_path: Path) -> None:
    authority, file = Authority(), tmp_path / "ca.pem"
    file.write_bytes(authority.certificate)
    pair = authority.issue("server", hosts=["localhost"])
    with serve(MODELS, pair.serving(tmp_path)) as server:
        named = server.url.replace("127.0.0.1", "localhost")
        assert got(named, ca_file=str(file)).failure is None
        assert got(server.url, insecure=True).failure is None
        assert "--url https://" in remedy(server.url.replace("https:", "http:"))


def test_tls_to_a_port_without(tmp_path: Path) -> None:
    with serve(MODELS) as server:
        assert "--url http://" in remedy(server.url.replace("http:", "https:"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "--url http://" in remedy(f"https://127.0.0.1:{port}")
        assert remedy(f"http://127.0.0.1:{port}").startswith("read the log")
    assert remedy(f"http://127.0.0.1:{port}").startswith("start the server")
    assert "this machine resolves" in remedy("http://no-such-host.invalid")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "--api-key-env"),
        (403, "--api-key-env"),
        (404, "--url http://HOST:PORT"),
        (429, "reduce the load"),
        (503, "read the log of the server"),
    ],
)
def test_answers_with_a_status(status: int, expected: str) -> None:
    with serve(reply(status, {"error": {"message": "no"}})) as server:
        assert expected in remedy(server.url)
