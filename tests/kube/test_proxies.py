"""Proxies: the kubeconfig's, the environment's, and what is said when one stands in the way."""

import base64
import importlib.util
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from dynocheck.kube import Cluster, CredentialsFailed, Unreachable, find_connection
from dynocheck.kube.proxy_env import find_proxy
from tests.controlplane.server import ControlPlane
from tests.kube.servers import FakeServer, Request, items, make_trusted_tls, reply, serve

SECRET = "not-to-be-told-0123456789"
NODES = "/api/v1/nodes"


class Thing(msgspec.Struct):
    metadata: dict[str, object]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def proxying(login: str | None = None, secured: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    """A proxy that tunnels, for those who log in if it wants that."""
    wanted = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None

    def tunnel(request: Request, client: socket.socket) -> bytes | None:
        assert request.method == "CONNECT"
        if request.headers.get("proxy-authorization") != wanted:
            return reply(407, "who are you?")
        host, port = request.target.split(":")
        with socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            while True:
                for source, sink in ((client, server), (server, client)):
                    pending = getattr(source, "pending", lambda: 0)()
                    if pending or select.select([source], [], [], 0.005)[0]:
                        if not (data := source.recv(1 << 16)):
                            return None
                        sink.sendall(data)

    with serve(tunnel, secured) as proxy:
        yield proxy


def ask(kubeconfig: Path, timeout_s: float = 5) -> list[Thing]:
    return Cluster(find_connection(str(kubeconfig)), timeout_s=timeout_s).items(NODES, Thing)


def test_a_proxy_of_the_kubeconfig(cluster: ControlPlane) -> None:
    cluster.node("gpu-1")
    with proxying() as proxy:
        (node,) = ask(cluster.kubeconfig(proxy_url=proxy.url))
        assert node.metadata["name"] == "gpu-1"
        (asked,) = proxy.requests
        assert asked.target == cluster.url.removeprefix("https://")
        assert "authorization" not in asked.headers


def test_a_proxy_that_wants_a_login(cluster: ControlPlane) -> None:
    with proxying(f"me:{SECRET}") as proxy:
        named = proxy.url.replace("//", f"//me:{SECRET}@")
        assert ask(cluster.kubeconfig(proxy_url=named)) == []
        wrong = proxy.url.replace("//", f"//you:{SECRET}@")
        with pytest.raises(Unreachable) as raised:
            ask(cluster.kubeconfig(proxy_url=wrong))
    assert f"cannot reach {cluster.url} through its proxy: Tunnel connection failed: 407" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_proxy_that_is_not_there_or_says_nothing(cluster: ControlPlane) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unreachable, match="through its proxy: Connection refused"):
        ask(cluster.kubeconfig(proxy_url=url))
    with serve(None) as proxy, pytest.raises(Unreachable, match="no response through its proxy"):
        ask(cluster.kubeconfig(proxy_url=proxy.url), timeout_s=0.5)


def test_the_server_behind_a_proxy_must_prove_itself(cluster: ControlPlane, tmp_path: Path) -> None:
    context, _ = make_trusted_tls(tmp_path)
    with serve(reply(200, items()), context) as other, proxying() as proxy:
        config = cluster.kubeconfig(proxy_url=proxy.url, server=other.url)
        with pytest.raises(Unreachable, match="TLS: "):
            ask(config)


def test_a_proxy_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(request: Request, _: object) -> bytes:
        return reply(200, items({"metadata": {"asked": request.target}}))

    with serve(forward) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removeprefix("http://"))
        server = FakeServer("http://api.invalid:8080", b"")
        (thing,) = server.cluster(tmp_path).items(NODES, Thing)
        assert thing.metadata["asked"] == f"http://api.invalid:8080{NODES}?limit=500"


def test_what_stands_on_this_machine_is_reached_directly(
    cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")
    assert ask(cluster.kubeconfig()) == []


@pytest.mark.parametrize(
    ("url", "exempt", "direct"),
    [
        ("https://api.example.com:6443", "", False),
        ("https://api.example.com:6443", "*", True),
        ("https://api.example.com:6443", "example.com", True),
        ("https://api.example.com:6443", ".example.com", True),
        ("https://api.example.com:6443", "*.example.com", True),
        ("https://api.example.com:6443", " other.com , API.example.com ", True),
        ("https://api.example.com:6443", "api.example.com:6443", True),
        ("https://api.example.com:6443", "api.example.com:443", False),
        ("https://api.example.com:6443", "pi.example.com", False),
        ("https://example.com", ".example.com", False),
        ("https://example.com", "example.com:443", True),
        ("https://10.1.2.3:6443", "10.0.0.0/8", True),
        ("https://10.1.2.3:6443", "10.1.2.3", True),
        ("https://10.1.2.3:6443", "10.1.2.0/30, 10.2.0.0/16", True),
        ("https://11.1.2.3:6443", "10.0.0.0/8", False),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "fd00::1", True),
        ("https://localhost:6443", "", True),
        ("https://127.9.9.9:6443", "", True),
        ("https://[::1]:6443", "", True),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(
    monkeypatch: pytest.MonkeyPatch, url: str, exempt: str, direct: bool
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert find_proxy(url, "") == (None if direct else "http://proxy.example:3128")
    assert find_proxy(url, "http://named") == "http://named"
    assert find_proxy(url.replace("https", "http"), "") is None


def test_socks_needs_a_part(cluster: ControlPlane) -> None:
    if importlib.util.find_spec("socks"):
        pytest.skip("PySocks is installed")
    with pytest.raises(CredentialsFailed, match="the proxy uses SOCKS") as raised:
        ask(cluster.kubeconfig(proxy_url="socks5://127.0.0.1:1"))
    assert raised.value.fix == "pip install 'urllib3[socks]'"
