"""How an exchange with a server can fail: a closed set, so that failures can be counted by class."""

import enum
import re

import msgspec

from dynocheck.secrets import HIDDEN, hide

LONGEST = 300  # characters of a message that is told
_KEPT = 4096
_SPACE = re.compile(r"\s+")


class FailureKind(enum.StrEnum):
    """The class of a failure.

    `truncated` is an answer that ended before it was complete: the connection closed early, or a stream
    without `[DONE]` or without a finish reason. `empty` is a complete answer that generated nothing.
    `in-stream-error` is an error told inside an answer whose HTTP status was good. `client` is ours: this
    machine had no file descriptor, port or memory left for one more connection.
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
    """Where a time limit struck."""

    CONNECT = "connect"
    TLS = "tls"
    FIRST_BYTE = "first-byte"
    IDLE = "idle"
    TOTAL = "total"


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong: a bounded message without secrets; `phase` of a timeout, `status` of an HTTP error.

    `retry_after_s` is what a server that is too busy asked for, in seconds.
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
    """Carries a failure to the one who asked."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def make_error(kind: FailureKind, message: str, phase: TimeoutPhase | None = None) -> EndpointError:
    """The exception for a failure of this kind."""
    return EndpointError(Failure(kind, clean(message), phase))


def clean(text: str) -> str:
    """Foreign text on one line, without tokens, and of a length that can be kept."""
    return _SPACE.sub(" ", hide(text[:_KEPT])).strip()


def redact_failure(failure: Failure, key: str | None) -> Failure:
    """The failure as it may be told: without the key, which a server may send back, and cut where nobody
    reads on. The cut comes last, or it could leave half of the key.
    """
    message = failure.message.replace(key, HIDDEN) if key else failure.message
    if len(message) > LONGEST:
        message = f"{message[: LONGEST - 3]}..."
    return msgspec.structs.replace(failure, message=message)
