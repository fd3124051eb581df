"""The JSON of completions: a chunk of a stream, or a whole response.

Unknown fields are ignored, and every field may be missing; completion_reader decides what that means.
"""

from typing import Any

import msgspec

from dynocheck.secrets import clip
from dynocheck.serving.completions import Usage
from dynocheck.serving.failures import FailureKind, make_error


class FunctionDelta(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class ToolCallDelta(msgspec.Struct):
    index: int | None = 0
    function: FunctionDelta | None = None


class Delta(msgspec.Struct):
    role: str | None = None
    content: Any = None  # text; some servers send a list of parts
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class Choice(msgspec.Struct):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None
    object: str | None = None


_CHUNK = msgspec.json.Decoder(Chunk)


def decode_chunk(data: bytes) -> Chunk:
    """Decode a chunk or a whole response.

    :raises EndpointError: it is not JSON, or of another shape.
    """
    try:
        return _CHUNK.decode(data)
    except RecursionError:
        raise make_error(FailureKind.BAD_JSON, "JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = clip(data[:4096].decode("utf-8", "replace"), 100)
        raise make_error(FailureKind.BAD_JSON, f"{error}: {shown}") from None


def convert_usage(usage: _Usage) -> Usage | None:
    """The token counts; None if the server sent none."""
    if usage.prompt_tokens is None:
        return None
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(usage.prompt_tokens, usage.completion_tokens or 0, cached)


def join_texts(content: Any) -> str:
    """The joined texts of content that is a list of parts."""
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
