"""Reads from an API server, and decodes only the fields that are used."""

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import count
from shlex import quote
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from dynocheck.kube.auth import authenticate
from dynocheck.kube.config import ClusterConnection
from dynocheck.kube.deadline import Deadline
from dynocheck.kube.decoding import decode
from dynocheck.kube.errors import (
    Forbidden,
    InvalidResponse,
    KubeError,
    NotFound,
    StatusError,
    TimedOut,
    Unauthorized,
    Unreachable,
)

if TYPE_CHECKING:  # urllib3 takes 50 ms that a run without a cluster does not pay
    from urllib3 import BaseHTTPResponse

    from dynocheck.kube.transport import ApiResponse, Transport

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R", "ApiResponse", "BaseHTTPResponse")

PAGE = 500  # kubectl's page size
JSON = "application/json"

_BUSY = 429  # asks every request for patience
_FAULTS = {502, 503, 504}  # of a server that restarts, or of a proxy before it; a GET may be repeated then
_MAX_RETRY_S = 10.0
_MIN_RETRY_S = 0.1
_ANSWER_S = 0.2  # that must be left for the answer to another attempt
_MOST_TRIES = {"GET": 6}  # of a request without Retry-After; they take about 3 s
_TRIES = 2  # of others: the connection may have been idle for too long
_MAX_RESTARTS = 1
_USER = re.compile(r'User "([^"\\]+)"')


class _ListMeta(msgspec.Struct, rename={"token": "continue"}):
    token: str = ""


class _Page(msgspec.Struct, Generic[T]):
    """One page of a list. A response without one of these fields is not a list, rather than an empty one."""

    kind: str
    items: list[T] | None
    metadata: _ListMeta


class _Status(msgspec.Struct):
    message: str = ""


class Cluster:
    """A cluster's API server. Thread-safe.

    A GET is repeated, within its time limit, when the connection breaks or a server or proxy is overloaded or
    restarts (502, 503, 504). `retries` counts such attempts by their reason.

    :param timeout_s: limit for each call in seconds, from obtaining credentials to the last byte of the last
        page.
    """

    def __init__(self, connection: ClusterConnection, *, timeout_s: float) -> None:
        self.connection = connection
        self.timeout_s = timeout_s
        self.retries: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._failure: KubeError | None = None
        self._has_served = False
        self._is_down = False  # it has served nothing, even after several tries

    def get(self, path: str, kind: type[T], *, accept: str = JSON, **query: str) -> T:
        """The object at this path.

        :raises KubeError: it cannot be read.
        """
        return self.decode(self.send("GET", _target(path, query), {"Accept": accept}), kind, path)

    def post(self, path: str, body: Mapping[str, Any], kind: type[T]) -> T:
        """The response to a review, such as a SelfSubjectAccessReview, which changes nothing.

        :raises KubeError: the request fails.
        """
        headers = {"Accept": JSON, "Content-Type": JSON}
        return self.decode(self.send("POST", path, headers, msgspec.json.encode(body)), kind, path)

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        deadline: Deadline | None = None,
    ) -> "ApiResponse":
        """The complete response to a request.

        :param target: the path with its query.
        :raises KubeError: there is no response, or it is an error.
        """
        limit = deadline or Deadline(self.timeout_s)
        response = self._repeat(
            method, limit, lambda transport: transport.send(method, target, headers, body, limit)
        )
        if response.status >= 300:
            raise self._make_error(target.partition("?")[0], response.status, response.body)
        return response

    def stream(
        self, target: str, headers: Mapping[str, str], timeout_s: float, *, repeat: bool = True
    ) -> "BaseHTTPResponse":
        """The response to a GET, to be read as it arrives, such as that of a watch.

        :param timeout_s: seconds until its first byte, and between any two reads.
        :param repeat: whether to repeat it; not for what the server passes on to a pod, which may be down.
        :raises KubeError: there is no response, or it is an error.
        """
        deadline = Deadline(timeout_s)
        response = self._repeat(
            "GET" if repeat else "", deadline, lambda transport: transport.stream(target, headers, deadline)
        )
        if response.status >= 300:
            response.close()
            raise self._make_error(target.partition("?")[0], response.status, b"")
        return response

    def _repeat(self, method: str, deadline: Deadline, attempt: "Callable[[Transport], R]") -> R:
        """The response to the first attempt that is not worth another one.

        :raises KubeError: there is none.
        """
        for number in count(1):
            transport = self._connect(deadline)
            try:
                response = attempt(transport)
            except Unreachable as error:
                wait_s = _choose_backoff(number)
                more = error.is_transient and number < _MOST_TRIES.get(method, _TRIES)
                if not more or wait_s + _ANSWER_S > deadline.remaining():
                    raise transport.give_up(error) from None
                self.retries["connection broken"] += 1
            else:
                self._has_served |= response.status not in _FAULTS
                if response.status == 401 and self._renew_credentials(transport, deadline):
                    continue
                chosen = _choose_wait(method, response.status, response.headers, number)
                if chosen is None or chosen + _ANSWER_S > deadline.remaining() or self._is_down:
                    self._is_down = not self._has_served
                    return response
                wait_s = chosen
                self.retries[f"status {response.status}"] += 1
            time.sleep(wait_s)
        raise AssertionError("unreachable")

    def items(self, path: str, kind: type[T], *, accept: str = JSON, **query: str) -> list[T]:
        """The objects of a collection, read page by page.

        A list whose continue token expires (410) is read again from the start, once.

        :raises KubeError: it cannot be read completely.
        """
        return self.list_mapped(path, kind, _return_unchanged, accept=accept, **query)

    def list_mapped(
        self, path: str, kind: type[T], keep: Callable[[T], U], *, accept: str = JSON, **query: str
    ) -> list[U]:
        """The objects of a collection, each reduced by `keep` as soon as its page is read, to save memory.

        :raises KubeError: it cannot be read completely.
        """
        deadline = Deadline(self.timeout_s)
        for restart in range(_MAX_RESTARTS + 1):
            try:
                return self._list_pages(path, kind, keep, accept, query, deadline)
            except StatusError as error:
                if error.status != 410 or restart == _MAX_RESTARTS:
                    raise
        raise AssertionError("unreachable")

    def _list_pages(
        self,
        path: str,
        kind: type[T],
        keep: Callable[[T], U],
        accept: str,
        query: Mapping[str, str],
        deadline: Deadline,
    ) -> list[U]:
        items: list[U] = []
        token = ""
        while True:
            paged = {**query, "limit": str(PAGE), **({"continue": token} if token else {})}
            response = self.send("GET", _target(path, paged), {"Accept": accept}, deadline=deadline)
            page = self.decode(response, _Page[kind], path)  # type: ignore[valid-type]
            if not page.kind.endswith("List"):
                raise self._make_invalid_response(path, "not a list")
            items.extend(map(keep, page.items or ()))
            token = page.metadata.token
            if not token:
                return items

    def decode(self, response: "ApiResponse", kind: type[T], path: str) -> T:
        """The body of a response from this path, as this type.

        :raises InvalidResponse: it is not JSON, or of another type.
        """
        try:
            return decode(response.body, kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if content_type not in ("", JSON):
                raise self._make_invalid_response(path, content_type) from None
            reason = str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__
            raise self._make_invalid_response(path, reason) from None

    def _make_invalid_response(self, path: str, reason: str) -> InvalidResponse:
        where = f"{self.connection.server}{path}"
        return InvalidResponse(f"{where}: not a Kubernetes API response: {self._redact(reason)}")

    def _connect(self, deadline: Deadline) -> "Transport":
        """The connection pool with credentials, created by the first caller and again when they expire."""
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise TimedOut(f"{self.connection.server}: no credentials within {self.timeout_s:g} s")
        try:
            if self._failure is not None:
                raise self._failure
            if self._transport is None or self._transport.identity.expired:
                from dynocheck.kube.transport import Transport

                chosen = self.connection.chosen
                identity = authenticate(chosen.user, chosen.server, deadline)
                self._transport = Transport(self.connection.server, chosen.server, identity)
            return self._transport
        except KubeError as error:
            self._failure = error
            raise
        finally:
            self._lock.release()

    def _renew_credentials(self, used: "Transport", deadline: Deadline) -> bool:
        """Whether the token file holds a new token by now: the kubelet renews that of a pod."""
        chosen = self.connection.chosen
        if not chosen.user.token_file:
            return False
        with self._lock:
            if self._transport is used:
                identity = authenticate(chosen.user, chosen.server, deadline)
                if identity.headers == used.identity.headers:
                    return False
                self._transport = type(used)(self.connection.server, chosen.server, identity)
            return True

    def _redact(self, text: str) -> str:
        return self._transport.identity.redact(text) if self._transport is not None else text

    def _make_error(self, path: str, status: int, body: bytes) -> KubeError:
        server = self.connection.server
        try:
            message = self._redact(msgspec.json.decode(body, type=_Status).message)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            message = ""
        detail = f": {message}" if message else ""
        match status:
            case 400 if body.startswith(b"Client sent an HTTP request to an HTTPS server"):
                return Unreachable(f"cannot reach {server}: the server uses TLS, but the URL says http")
            case 401:
                return Unauthorized(
                    f"{server}: {self._explain_unauthorized()}", status, fix="kubectl auth whoami"
                )
            case 403:
                text = f"{server}: {message or path + ' is forbidden'} (403)"
                return Forbidden(text, status, fix=self.format_grant(message))
            case 404:
                return NotFound(f"{server}{path}: not found (404){detail}", status)
            case 410:
                return StatusError(f"{server}{path}: the list expired while it was read (410)", status)
        if 300 <= status < 400:
            return StatusError(f"{server}{path}: redirected ({status}); is it a login page?", status)
        where = f"{server}{path}" if self._has_served else server
        return StatusError(f"{where}: status {status}{detail}", status)

    def format_grant(self, message: str, options: str = "") -> str:
        """The command by which an administrator gives the user of a 403 the rights of a run.

        :param message: the server's, which names the user.
        :param options: of `dynocheck rbac`.
        """
        user = found[1] if (found := _USER.search(message)) else "NAME"
        account = user.removeprefix("system:serviceaccount:")
        subject = f"user:{user}" if account == user else f"serviceaccount:{account}"
        rbac = " ".join(filter(None, ["dynocheck rbac", options, "--bind", quote(subject)]))
        return f"{rbac} | kubectl apply -n {quote(self.connection.namespace)} -f -   # as an administrator"

    def _explain_unauthorized(self) -> str:
        if self._transport is not None and self._transport.identity.anonymous:
            return "the kubeconfig has no credentials for it (401)"
        return "the credentials are not accepted (401): expired or wrong"


def _target(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def _return_unchanged(item: T) -> T:
    return item


def _choose_wait(method: str, status: int, headers: Mapping[str, str], number: int) -> float | None:
    """The seconds until this request is tried again; None if it is not.

    :param number: of the attempt that got this response.
    """
    is_fault = method == "GET" and status in _FAULTS
    if not is_fault and status != _BUSY:
        return None
    if is_fault and not headers.get("Retry-After", "").isdecimal():  # none, or a date
        return _choose_backoff(number) if number < _MOST_TRIES["GET"] else None
    return _parse_retry_after(headers)


def _choose_backoff(number: int) -> float:
    """Seconds that double with each attempt, with a random part, so that clients do not come together."""
    jitter = random.uniform(0.5, 1.5)  # noqa: S311  (not for cryptography)
    return _MIN_RETRY_S * jitter * (1 << number - 1)


def _parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds in a Retry-After header; None if it is missing, invalid or above _MAX_RETRY_S."""
    text = headers.get("Retry-After", "")
    if not (text.isdecimal() and len(text) < 9):
        return None
    wait_s = max(float(text), _MIN_RETRY_S)
    return wait_s if wait_s <= _MAX_RETRY_S else None
