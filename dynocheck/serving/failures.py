"""The kinds of failure of a request: a closed set, so that failures can be counted by kind."""

import enum
import re

import msgspec

from dynocheck.secrets import HIDDEN, hide

LONGEST = 300  # characters of a message that are shown
_KEPT = 4096
_SPACE = re.compile(r"\s+")


class FailureKind(enum.StrEnum):
    """The kind of a failure.

    `truncated` is an incomplete response: the connection closed early, or a stream ended without `[DONE]` or
    a finish reason. `empty` is a complete response without generated content. `in-stream-error` is an error
    inside a response with status 2xx. `client` is our own: this machine ran out of file descriptors, ports
    or memory for another connection.
    """

    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    HTTP_4XX = "http-4xx"
    HTTP_429 = "http-429"
    HTTP_5XX = "http-5xx"
    HTTP_529 = "http-529"
    REDIRECT = "redirect"
    NOT_HTTP = "not-http"
    BAD_JSON = "bad-json"
    BAD_SSE = "bad-sse"
    TOO_LARGE = "too-large"
    IN_STREAM_ERROR = "in-stream-error"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    CLIENT = "client"


class TimeoutPhase(enum.StrEnum):
    """The phase in which a time limit was exceeded."""

    CONNECT = "connect"
    TLS = "tls"
    FIRST_BYTE = "first-byte"
    IDLE = "idle"
    TOTAL = "total"


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A failure with a short message without secrets; `phase` of a timeout, `status` of an HTTP error.

    `retry_after_s` is the Retry-After of an overloaded server, in seconds.
    """

    kind: FailureKind
    message: str
    phase: TimeoutPhase | None = None
    status: int | None = None
    retry_after_s: float | None = None

    def __str__(self) -> str:
        where = f" ({self.phase})" if self.phase else ""
        return f"{self.kind}{where}: {self.message}"


class EndpointError(Exception):
    """Carries a failure to the caller."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class UnansweredError(EndpointError):
    """The server closed the connection before the first byte of its response, so long after the request."""

    def __init__(self, failure: Failure, after_s: float) -> None:
        super().__init__(failure)
        self.after_s = after_s


def make_error(kind: FailureKind, message: str, phase: TimeoutPhase | None = None) -> EndpointError:
    """The exception for a failure of this kind."""
    return EndpointError(Failure(kind, clean(message), phase))


def clean(text: str) -> str:
    """A server's text on one line, with tokens hidden, from at most _KEPT characters."""
    return _SPACE.sub(" ", hide(text[:_KEPT])).strip()


def redact_failure(failure: Failure, key: str | None) -> Failure:
    """The failure with the API key hidden, which a server may echo, and a message of at most LONGEST
    characters. Truncation comes last, because it could leave half of the key visible.
    """
    message = failure.message.replace(key, HIDDEN) if key else failure.message
    if len(message) > LONGEST:
        message = f"{message[: LONGEST - 3]}..."
    return msgspec.structs.replace(failure, message=message)
