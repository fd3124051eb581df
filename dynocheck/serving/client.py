"""A client for one endpoint that reuses its connections.

A connection is reused only if it was idle for less than a second, well below the servers' own idle timeouts
(5 s in Node and Sanic by default). Some servers, such as llama.cpp, close it after a stream unannounced. So a
request on a reused connection that is closed at once, without a byte of a response, is sent again on a new
one, as curl and OpenAI's SDK do, and counted. Redirects are reported rather than followed; no proxy is used.
"""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Any, Self

import msgspec

from dynocheck._version import __version__
from dynocheck.serving.completion_reader import CompletionReader, StreamCancelled
from dynocheck.serving.completions import CompletionRequest, Exchange, Times
from dynocheck.serving.connection import Clock, HttpConnection
from dynocheck.serving.connector import connect
from dynocheck.serving.endpoint import Endpoint, ExchangeLimits
from dynocheck.serving.error_body import raise_for_status
from dynocheck.serving.failures import (
    EndpointError,
    Failure,
    FailureKind,
    UnansweredError,
    make_error,
    redact_failure,
)
from dynocheck.serving.response_parser import ResponseReceiver

_IDLE_S = 1.0
_AT_ONCE_S = 1.0  # a connection that closes later was not stale: the server has had the request
_AT_ONCE = 16


class EndpointResponse(msgspec.Struct):
    """The response to one request; `failure` says why it counts as failed.

    Header names are in lower case. `seconds` is the time from the start to the last byte.
    """

    status: int | None = None
    headers: Mapping[str, str] = {}
    body: bytes = b""
    failure: Failure | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.failure is None

    def json(self) -> Any:
        """The decoded JSON body.

        :raises EndpointError: the request failed, or the body is not JSON.
        """
        if self.failure is not None:
            raise EndpointError(self.failure)
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise make_error(FailureKind.BAD_JSON, f"not JSON: {error}") from None


class Client:
    """Sends requests to an endpoint. Server failures do not raise; they are in the returned object.

    :param keep_alive: reuse connections for several requests.
    """

    def __init__(self, endpoint: Endpoint, *, keep_alive: bool = True) -> None:
        self.endpoint = endpoint
        self._keep_alive = keep_alive
        self._clock = Clock()
        self._idle: list[tuple[float, HttpConnection]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    async def prepare(self, connections: int) -> None:
        """Open this many connections, so that no request has to wait while others connect.

        Errors are ignored: they occur again, and are reported, with the requests.
        """
        while (missing := connections - len(self._idle)) > 0:
            results = await asyncio.gather(
                *(connect(self.endpoint, self._clock) for _ in range(min(missing, _AT_ONCE))),
                return_exceptions=True,
            )
            opened = [result for result in results if isinstance(result, HttpConnection)]
            self._idle += [(perf_counter(), connection) for connection in opened]
            if len(opened) < len(results):
                break
        now = perf_counter()
        self._idle = [(now, connection) for _, connection in self._idle if connection.usable]

    async def get(self, path: str, *, limits: ExchangeLimits | None = None) -> EndpointResponse:
        """GET a path below the endpoint's base path, such as `/v1/models`."""
        return await self._request("GET", path, None, limits)

    async def post(
        self, path: str, body: bytes | Mapping[str, Any], *, limits: ExchangeLimits | None = None
    ) -> EndpointResponse:
        """POST bytes unchanged, or a mapping as JSON."""
        payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self._request("POST", path, payload, limits)

    async def complete(
        self,
        request: CompletionRequest,
        *,
        scheduled: float | None = None,
        cancel_after_chunks: int | None = None,
        limits: ExchangeLimits | None = None,
    ) -> Exchange:
        """Request a completion.

        :param scheduled: when it was due, in seconds of `perf_counter` (default: now).
        :param cancel_after_chunks: cancel after this many chunks with content.
        """
        started = perf_counter()
        exchange = Exchange(Times(started if scheduled is None else scheduled, started))
        limits = limits or self.endpoint.limits
        reader = CompletionReader(request, exchange, limits.line, cancel_after_chunks)
        try:
            await self._send("POST", request.path, request.body, reader, limits, exchange)
            reader.finish()
        except StreamCancelled:
            exchange.cancelled = True
        except EndpointError as error:
            exchange.failure = exchange.failure or error.failure
        exchange.failure = self._redact(exchange.failure)
        exchange.times.ended = perf_counter()
        return exchange

    async def _request(
        self, method: str, path: str, body: bytes | None, limits: ExchangeLimits | None
    ) -> EndpointResponse:
        started = perf_counter()
        response = EndpointResponse()
        receiver = _WholeResponse(response)
        try:
            unused = Exchange(Times(started, started))
            await self._send(method, path, body, receiver, limits or self.endpoint.limits, unused)
            receiver.finish()
        except EndpointError as error:
            response.failure = self._redact(error.failure)
        response.seconds = perf_counter() - started
        return response

    async def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        receiver: ResponseReceiver,
        limits: ExchangeLimits,
        exchange: Exchange,
    ) -> None:
        payload = self._build_payload(method, path, body)
        if (idle := self._take_idle()) is not None:
            try:
                await self._exchange(idle, payload, receiver, limits, exchange)
                return
            except UnansweredError as error:
                if error.after_s > _AT_ONCE_S:
                    raise
                exchange.resent = True
        connection = await connect(self.endpoint, self._clock)
        exchange.times.connected = connection.connected
        await self._exchange(connection, payload, receiver, limits, exchange)

    async def _exchange(
        self,
        connection: HttpConnection,
        payload: bytes,
        receiver: ResponseReceiver,
        limits: ExchangeLimits,
        exchange: Exchange,
    ) -> None:
        times = exchange.times
        exchange.fresh = times.connected is not None
        try:
            times.sent = await connection.exchange(payload, receiver, limits, times.started)
        finally:
            exchange.quickack = connection.quickack
        if connection.usable and self._keep_alive:
            self._idle.append((perf_counter(), connection))
        else:
            connection.close()

    def _take_idle(self) -> HttpConnection | None:
        now = perf_counter()
        while self._idle:
            since, connection = self._idle.pop()
            if connection.usable and now - since < _IDLE_S:
                return connection
            connection.close()
        return None

    def _build_payload(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {
            **self.endpoint.all_headers,
            "User-Agent": f"dynocheck/{__version__}",
            "Accept": "text/event-stream, application/json, */*",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive" if self._keep_alive else "close",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        if body is not None and self.endpoint.chunked:
            headers["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif body is not None:
            headers["Content-Length"] = str(len(body))
        lines = [
            f"{method} {self.endpoint.base_path}{path} HTTP/1.1",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")

    def _redact(self, failure: Failure | None) -> Failure | None:
        key = self.endpoint.key
        return None if failure is None else redact_failure(failure, key.reveal() if key else None)


class _WholeResponse:
    """Receives a response as a whole."""

    def __init__(self, response: EndpointResponse) -> None:
        self._response = response
        self._body = bytearray()

    def receive_head(self, status: int, headers: Mapping[str, str], at: float) -> None:
        self._response.status = status
        self._response.headers = headers

    def receive_body(self, data: bytes, at: float) -> None:
        self._body += data

    def finish(self) -> None:
        response = self._response
        response.body = bytes(self._body)
        assert response.status is not None
        headers = response.headers
        raise_for_status(
            response.status, headers.get("location", ""), headers.get("retry-after"), response.body
        )
