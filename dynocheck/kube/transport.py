"""Sends requests over pooled connections, within time and size limits, and classifies what goes wrong."""

import ssl
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InsecureRequestWarning,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from dynocheck._version import __version__
from dynocheck.kube import tls
from dynocheck.kube.auth import Identity
from dynocheck.kube.deadline import BoundedSocket, Deadline, LookupTimeoutError, connect
from dynocheck.kube.errors import CredentialsFailed, InvalidResponse, TimedOut, Unreachable
from dynocheck.kube.kubeconfig import ClusterEntry
from dynocheck.kube.proxy_env import find_proxy

LIMIT = 128 << 20  # bytes of one response; a page of 500 pods has 10 MB

_CONNECT_S = 4.0
_CONNECTIONS = 32
_AT_ONCE = 4  # a TLS handshake takes as long as several responses, so few connections are faster than many
_QUEUED_S = 0.1  # after which a request goes ahead anyway, so that a stalled response blocks no other
_CHUNK = 1 << 20
_NO_HANDSHAKE = "connected, but no TLS handshake"
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}


class ApiResponse(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Connections to one server with one identity.

    :raises CredentialsFailed: a certificate is invalid.
    """

    def __init__(self, url: str, server: ClusterEntry, identity: Identity) -> None:
        self.url = url
        self.identity = identity
        self._server = server
        self._pool = _make_pool(url, server, identity)
        self._turns = threading.Semaphore(_AT_ONCE)
        self._answered = False
        self._given_up: str | None = None

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> ApiResponse:
        """The response, whatever its status. Redirects are not followed: no other host gets the credentials.

        :raises Unreachable: there is no response.
        :raises TimedOut: it is not complete by the deadline.
        :raises InvalidResponse: it is larger than LIMIT, or cannot be decompressed.
        """
        if self._given_up is not None:
            raise Unreachable(self._given_up)
        try:
            response = self._send(method, target, headers, body, deadline)
        except HTTPError as error:
            raise self._make_unreachable(error) from None
        self._answered = True
        return response

    def give_up(self, error: Unreachable) -> Unreachable:
        """What to raise after the last attempt of a request. A server that never answered is not asked again,
        and the reason is the same for all.
        """
        if self._answered:
            return error
        self._given_up = self._given_up or str(error)
        return Unreachable(self._given_up)

    def stream(self, target: str, headers: Mapping[str, str], deadline: Deadline) -> urllib3.BaseHTTPResponse:
        """The start of a response, whatever its status, to be read and closed by the caller.

        :raises Unreachable: there is none by the deadline.
        """
        try:
            return self._open("GET", target, {**headers, "Accept-Encoding": "identity"}, None, deadline)
        except HTTPError as error:
            raise self._make_unreachable(error) from None

    def _send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> ApiResponse:
        path = target.partition("?")[0]
        try:
            with (
                self._take_turn(),
                deadline.enforce(),
                self._open(method, target, headers, body, deadline) as response,
            ):
                return ApiResponse(response.status, response.headers, self._read(response, path))
        except ReadTimeoutError:
            silent = not self._answered
            where = f"cannot reach {self.url}" if silent else f"{self.url}{path}"
            reason = f"{where}: no complete response within {deadline.limit_s:g} s"
            raise TimedOut(reason, silent=silent) from None

    @contextmanager
    def _take_turn(self) -> Iterator[None]:
        mine = self._turns.acquire(timeout=_QUEUED_S)
        try:
            yield
        finally:
            if mine:
                self._turns.release()

    def _open(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> urllib3.BaseHTTPResponse:
        sent = urllib3.HTTPHeaderDict(headers)
        sent["User-Agent"] = f"dynocheck/{__version__}"
        if not self._server.disable_compression:
            sent.setdefault("Accept-Encoding", "gzip")
        for name, value in self.identity.headers:
            sent.add(name, value)
        left = max(deadline.remaining(), 0.001)
        return self._pool.urlopen(
            method,
            self.url + target,
            headers=sent,
            body=body,
            timeout=urllib3.Timeout(connect=min(_CONNECT_S, left), read=left),
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def _read(self, response: urllib3.BaseHTTPResponse, path: str) -> bytes:
        body = bytearray()
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        gunzip = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
        try:
            for chunk in response.stream(_CHUNK, decode_content=False):
                body += gunzip.decompress(chunk, LIMIT + 1) if gunzip else chunk
                if len(body) > LIMIT:
                    raise InvalidResponse(f"{self.url}{path}: a response of more than {LIMIT >> 20} MiB")
        except zlib.error:
            encoding = "broken"
        if encoding not in ("identity", "gzip") or (gunzip and body and not gunzip.eof):
            raise InvalidResponse(f"{self.url}{path}: the compressed response cannot be decoded")
        return bytes(body)

    def _make_unreachable(self, error: HTTPError) -> Unreachable:
        why = self.identity.redact(_describe(error))
        match error:
            case ProxyError():
                return Unreachable(f"cannot reach {self.url} through its proxy: {why}")
            case SSLError():
                return Unreachable(f"cannot reach {self.url}: TLS: {why}", is_transient=_may_pass(error))
            case ConnectTimeoutError():
                return Unreachable(f"cannot reach {self.url}: {why}")
        return Unreachable(
            f"cannot reach {self.url}: the connection broke: {why}",
            is_transient=isinstance(error, ProtocolError),
        )


def _make_pool(url: str, server: ClusterEntry, identity: Identity) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": _CONNECTIONS}
    if url.startswith("https:"):
        options["ssl_context"] = tls.make_context(server, identity)
        if server.tls_server_name:
            options["server_hostname"] = server.tls_server_name
        if server.insecure_skip_tls_verify:  # the user chose this, so do not warn on every request
            urllib3.disable_warnings(InsecureRequestWarning)
    proxy = find_proxy(url, server.proxy_url)
    if proxy is None:
        pool = urllib3.PoolManager(**options)
    elif proxy.startswith("socks"):
        return _make_socks_pool(proxy, options)
    else:
        pool = _make_proxy_pool(proxy, options)
    pool.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return pool


def _make_proxy_pool(proxy: str, options: dict[str, Any]) -> urllib3.ProxyManager:
    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CredentialsFailed("the proxy is not an http, https or socks5 URL")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    trusting = tls.make_base_context()
    trusting.load_default_certs()
    return urllib3.ProxyManager(
        urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
        proxy_ssl_context=trusting,
        **options,
    )


def _make_socks_pool(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    if find_spec("socks") is None:
        fix = "pip install 'urllib3[socks]'"
        raise CredentialsFailed("the proxy uses SOCKS, but PySocks is not installed", fix=fix)
    from urllib3.contrib.socks import SOCKSProxyManager

    return SOCKSProxyManager(proxy.replace("socks5:", "socks5h:", 1), **options)


class _Connection(HTTPConnection):
    def _new_conn(self) -> BoundedSocket:
        return _connect(self)


class _TLSConnection(HTTPSConnection):
    def _new_conn(self) -> BoundedSocket:
        return _connect(self)

    def connect(self) -> None:
        try:
            super().connect()
        except TimeoutError:
            reason = "no response through its proxy" if self.proxy else _NO_HANDSHAKE
            raise ConnectTimeoutError(reason) from None


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


def _connect(connection: HTTPConnection) -> BoundedSocket:
    timeout = connection.timeout
    try:
        return connect(
            connection.host, connection.port or 443, timeout if isinstance(timeout, float) else _CONNECT_S
        )
    except LookupTimeoutError:
        raise ConnectTimeoutError("the lookup of its name timed out") from None
    except TimeoutError:
        raise ConnectTimeoutError("the connection attempt timed out") from None
    except OSError as error:
        raise ConnectTimeoutError(error.strerror or "no such host") from None


def _may_pass(error: SSLError) -> bool:
    """Whether a handshake may succeed later: it broke, but not because of a certificate or missing TLS."""
    reason = _find_innermost(error)
    untrusted = isinstance(reason, ssl.SSLCertVerificationError)
    return not untrusted and getattr(reason, "reason", None) not in _NO_TLS


def _describe(error: BaseException) -> str:
    """The innermost reason, without the request it belongs to."""
    error = _find_innermost(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message.rstrip(".")
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return "the server does not use TLS"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


def _find_innermost(error: BaseException) -> BaseException:
    while (inner := _find_inner(error)) is not None:
        error = inner
    return error


def _find_inner(error: BaseException) -> BaseException | None:
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return reason
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)
