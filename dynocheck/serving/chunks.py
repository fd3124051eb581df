"""The JSON of completions: a chunk of a stream, or a whole response.

Unknown fields are ignored, and every field may be missing; completion_reader decides what that means.
"""

from typing import Any

import msgspec

from dynocheck.secrets import clip
from dynocheck.serving.completions import Usage
from dynocheck.serving.counts import describe_odd_counts, read_count
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


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
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


def convert_usage(usage: dict[str, Any]) -> Usage | None:
    """The token counts; None if the server sent none."""
    prompt = read_count(usage.get("prompt_tokens"))
    if prompt is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = read_count(details.get("cached_tokens")) if isinstance(details, dict) else None
    odd = describe_odd_counts({name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")})
    return Usage(prompt, read_count(usage.get("completion_tokens")) or 0, cached, odd)


def join_texts(content: Any) -> str:
    """The joined texts of content that is a list of parts."""
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
