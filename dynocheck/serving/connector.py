"""Opens a connection: DNS and TCP, then TLS, each with a time limit."""

import asyncio
import errno
import os
import socket
import ssl
from functools import partial
from time import perf_counter

from dynocheck.serving.connection import Clock, HttpConnection
from dynocheck.serving.endpoint import Endpoint
from dynocheck.serving.failures import FailureKind, TimeoutPhase, make_error

_HAPPY_EYEBALLS_S = 0.25  # RFC 8305
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}


async def connect(endpoint: Endpoint, clock: Clock) -> HttpConnection:
    """A new connection.

    :raises EndpointError: DNS, TCP or TLS fails.
    """
    limits, loop = endpoint.limits, asyncio.get_running_loop()
    try:
        async with asyncio.timeout(limits.connect_s):
            _, connection = await loop.create_connection(
                partial(HttpConnection, clock),
                endpoint.host,
                endpoint.port,
                happy_eyeballs_delay=_HAPPY_EYEBALLS_S,
            )
    except TimeoutError:
        raise make_error(
            FailureKind.TIMEOUT, f"no connection within {limits.connect_s:g} s", TimeoutPhase.CONNECT
        ) from None
    except (OSError, UnicodeError) as error:
        raise make_error(
            FailureKind.CLIENT if _is_local_error(error) else FailureKind.CONNECT, _explain_error(error)
        ) from None
    if endpoint.ssl_context is not None:
        await _start_tls(connection, endpoint, endpoint.ssl_context)
    connection.connected = perf_counter()
    return connection


async def _start_tls(connection: HttpConnection, endpoint: Endpoint, context: ssl.SSLContext) -> None:
    limit = endpoint.limits.tls_s
    try:
        async with asyncio.timeout(limit):
            transport = await asyncio.get_running_loop().start_tls(
                connection.transport, connection, context, server_hostname=endpoint.tls_server_name
            )
    except TimeoutError:
        connection.close()
        raise make_error(
            FailureKind.TIMEOUT, f"no TLS handshake within {limit:g} s", TimeoutPhase.TLS
        ) from None
    except (OSError, ValueError) as error:  # SSLError is an OSError
        connection.close()
        raise make_error(FailureKind.TLS, _explain_error(error)) from None
    assert transport is not None
    connection.transport = transport


def _is_local_error(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in _EXHAUSTED


def _explain_error(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"untrusted certificate: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS failed: {(error.reason or 'handshake failed').replace('_', ' ').lower()}"
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return "the server closes the connection at once"
        case socket.gaierror():
            return f"unknown host: {error.strerror}"
        case OSError() if error.errno:
            return os.strerror(error.errno).lower()  # asyncio's own text is "Connect call failed"
    return str(error) or type(error).__name__
