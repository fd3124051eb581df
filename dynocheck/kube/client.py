"""Asking an API server: raw responses over the official client's transport, decoded into what we read."""

import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from dynocheck.kube.config import Connection
from dynocheck.kube.errors import (
    Forbidden,
    Garbled,
    NotFound,
    Refused,
    TimedOut,
    Unauthorized,
    Unreachable,
)

if TYPE_CHECKING:  # a quarter of a second that a run without a cluster does not pay
    import urllib3
    from kubernetes.client.configuration import Configuration

T = TypeVar("T")

PAGE = 500  # what kubectl asks for
JSON = "application/json"

_CONNECT_S = 4.0
_RETRIED = {429, 503}
_MAX_RETRY_S = 10.0
_MAX_RESTARTS = 1
_CHUNK = 1 << 20


class _ListMeta(msgspec.Struct, rename={"token": "continue"}):
    token: str = ""


class _Page(msgspec.Struct, Generic[T]):
    items: list[T] | None = None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


class Cluster:
    """A cluster's API server. Safe to use from several threads; every request ends by the deadline.

    :param timeout_s: seconds that any one call may take, from the making of credentials to the last byte.
    """

    def __init__(self, connection: Connection, *, timeout_s: float) -> None:
        self.connection = connection
        self.timeout_s = timeout_s
        self._base = connection.server
        self._ready = threading.Event()
        self._configuration: Configuration | None = None
        self._pool: urllib3.PoolManager | None = None
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._started = False

    def get(self, path: str, kind: type[T], *, accept: str = JSON, **query: str) -> T:
        """The object at this path.

        :raises KubeError: it cannot be had.
        """
        return self._decode(self._request("GET", path, query, accept=accept), kind, path)

    def post(self, path: str, body: Mapping[str, Any], kind: type[T]) -> T:
        """The answer to this body. Only reviews are posted, which change nothing.

        :raises KubeError: there is none.
        """
        return self._decode(self._request("POST", path, {}, body=msgspec.json.encode(body)), kind, path)

    def items(self, path: str, kind: type[T], *, accept: str = JSON, **query: str) -> Iterator[T]:
        """The objects of a collection, page by page.

        A list whose continuation expires under us (410) starts again, once.

        :raises KubeError: it cannot be had, or not to its end.
        """
        for restart in range(_MAX_RESTARTS + 1):
            try:
                yield from self._pages(path, kind, accept, query)
            except Refused as error:
                if error.status != 410 or restart == _MAX_RESTARTS:
                    raise
            else:
                return

    def _pages(self, path: str, kind: type[T], accept: str, query: Mapping[str, str]) -> list[T]:
        found: list[T] = []
        token = ""
        deadline = time.monotonic() + self.timeout_s
        while True:
            paged = {**query, "limit": str(PAGE), **({"continue": token} if token else {})}
            body = self._request("GET", path, paged, accept=accept, deadline=deadline)
            page = self._decode(body, _Page[kind], path)  # type: ignore[valid-type]
            found.extend(page.items or ())
            token = page.metadata.token
            if not token:
                return found

    def _decode(self, body: bytes, kind: type[T], path: str) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            where = f"{self.connection.server}{path}"
            raise Garbled(f"{where}: not what an API server answers: {error}") from None

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: bytes | None = None,
        accept: str = JSON,
        deadline: float | None = None,
    ) -> bytes:
        deadline = deadline or time.monotonic() + self.timeout_s
        while True:
            status, headers, content = self._send(method, path, query, body, accept, deadline)
            if status < 300:
                return content
            wait_s = _retry_after(headers) if status in _RETRIED else None
            if wait_s is None or time.monotonic() + wait_s > deadline:
                raise self._refused(method, path, status, content)
            time.sleep(wait_s)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        accept: str,
        deadline: float,
    ) -> tuple[int, Mapping[str, str], bytes]:
        import urllib3

        pool, headers = self._transport(deadline)
        headers = {**headers, "Accept": accept, **({"Content-Type": JSON} if body else {})}
        server = self.connection.server
        left = max(deadline - time.monotonic(), 0.001)
        try:
            response = pool.request(
                method,
                self._base + path,
                fields=dict(query) if query else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(_CONNECT_S, left), read=left),
                retries=False,
                redirect=False,
                preload_content=False,
                **({"body": body} if body is not None else {}),
            )
            with response:
                return response.status, response.headers, self._read(response, deadline)
        except urllib3.exceptions.ConnectTimeoutError:
            raise Unreachable(f"cannot reach {server}: no answer to a connection attempt") from None
        except urllib3.exceptions.ReadTimeoutError:
            raise TimedOut(f"{server}{path}: no answer within {self.timeout_s:g} s") from None
        except urllib3.exceptions.SSLError as error:
            raise Unreachable(f"cannot reach {server}: TLS: {_cause(error)}") from None
        except urllib3.exceptions.ProxyError as error:
            raise Unreachable(f"cannot reach {server} through its proxy: {_cause(error)}") from None
        except urllib3.exceptions.NewConnectionError as error:
            raise Unreachable(f"cannot reach {server}: {_cause(error)}") from None
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(f"{server}{path}: the connection broke: {_cause(error)}") from None

    def _read(self, response: "urllib3.BaseHTTPResponse", deadline: float) -> bytes:
        chunks = []
        for chunk in response.stream(_CHUNK):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                raise TimedOut(f"{self.connection.server}: an answer took longer than {self.timeout_s:g} s")
        return b"".join(chunks)

    def _transport(self, deadline: float) -> tuple["urllib3.PoolManager", dict[str, str]]:
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._prepare, daemon=True).start()
        if not self._ready.wait(deadline - time.monotonic() - 0.2):
            plugin = self.connection.plugin
            what = f"the credential plugin {plugin!r}" if plugin else "making credentials"
            raise TimedOut(f"{what} did not finish within {self.timeout_s:g} s")
        if self._failure is not None:
            raise self._failure
        assert self._pool is not None
        assert self._configuration is not None
        with self._lock:  # a credential that expires is renewed by one thread
            auth: Any = self._configuration.auth_settings()
        return self._pool, {a["key"]: a["value"] for a in auth.values() if a.get("value")}

    def _prepare(self) -> None:
        try:
            from kubernetes.client.rest import RESTClientObject

            configuration = self.connection.configuration()
            configuration.connection_pool_maxsize = 32
            self._base = configuration.host
            self._pool = RESTClientObject(configuration).pool_manager
            self._configuration = configuration
        except Exception as error:
            self._failure = error
        finally:
            self._ready.set()

    def _refused(self, method: str, path: str, status: int, content: bytes) -> Refused:
        try:
            answer = msgspec.json.decode(content, type=_Status).message
        except msgspec.MsgspecError:
            answer = ""
        where = f"{self.connection.server}{path}"
        match status:
            case 401:
                return Unauthorized(
                    f"{self.connection.server}: the credentials are not accepted (401): expired or wrong",
                    status,
                    fix="kubectl auth whoami",
                )
            case 403:
                return Forbidden(f"forbidden: {answer or f'{method} {path}'}", status, fix=_GRANT)
            case 404:
                return NotFound(f"{where}: not found (404)", status)
            case 410:
                return Refused(f"{where}: the list expired while it was read (410)", status)
        return Refused(f"{where}: answered {status}{': ' + answer if answer else ''}", status)


_GRANT = "dynocheck rbac | kubectl apply -f -   # as an administrator, then bind the role to this user"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks us to wait, where it asks for a bearable number."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() and float(text) <= _MAX_RETRY_S else None


def _cause(error: BaseException) -> str:
    """The deepest reason, without the request it belongs to."""
    while (inner := getattr(error, "reason", None) or error.__cause__ or error.__context__) is not None:
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = getattr(error, "strerror", None) or getattr(error, "verify_message", None) or str(error)
    return str(text).strip() or type(error).__name__
