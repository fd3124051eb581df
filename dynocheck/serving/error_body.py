"""Extracts the message from an error response, in the formats of all known servers.

OpenAI, vLLM, SGLang and llama.cpp: `{"error": {"message", "type", "code"}}`; Dynamo's frontend, and vLLM
before 0.10: `{"message", "type", "code"}`; TGI, Triton and TensorRT-LLM's own server: `{"error": "text"}`;
servers made with FastAPI: `{"detail": "text"}` or a list of places and messages.
"""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from dynocheck.serving.failures import EndpointError, Failure, FailureKind, clean

_TEXTS = ("message", "msg", "error", "detail", "errors")
_CODES = ("code", "type", "error_type")


def extract_message(body: bytes) -> str:
    """The error message of a response body on one line, of limited length, with tokens hidden."""
    try:
        message = _find_text(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = None
    return clean(message or body[:4096].decode("utf-8", "replace")) or "an empty body"


def _find_text(value: Any, depth: int = 0) -> str | None:
    """The message, followed by the error code unless the message contains it."""
    match value:
        case str():
            return value
        case list() if value and depth < 4:
            return "; ".join(text for item in value[:3] if (text := _find_text(item, depth + 1)))
        case dict() if depth < 4:
            text = next((text for key in _TEXTS if (text := _find_text(value.get(key), depth + 1))), None)
            code = next((str(value[key]) for key in _CODES if isinstance(value.get(key), str | int)), None)
            return f"{text} ({code})" if text and code and code not in text else text or code
    return None


def raise_for_status(status: int, location: str, retry_after: str | None, body: bytes) -> None:
    """Return if the status is 2xx.

    :raises EndpointError: it is not.
    """
    if 200 <= status < 300:
        return
    if status < 400:
        raise EndpointError(
            Failure(FailureKind.REDIRECT, f"HTTP {status}, to {_describe_target(location)}", status=status)
        )
    named = {429: FailureKind.HTTP_429, 529: FailureKind.HTTP_529}
    kind = named.get(status, FailureKind.HTTP_4XX if status < 500 else FailureKind.HTTP_5XX)
    message = f"HTTP {status}: {extract_message(body)}"
    raise EndpointError(Failure(kind, message, status=status, retry_after_s=_parse_seconds(retry_after)))


def _describe_target(location: str) -> str:
    """The host of a redirect's target; the rest may contain a secret."""
    try:
        parts = urlsplit(location)
        host = parts.hostname
    except ValueError:
        return "an invalid URL"
    return clean(f"{parts.scheme}://{host}" if host else "a path on the same host")


def _parse_seconds(retry_after: str | None) -> float | None:
    try:
        return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    except ValueError:
        return None
