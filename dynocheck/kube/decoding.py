"""Decodes API responses; treats null as absent, as Go does."""

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_lock = threading.Lock()


def decode(body: bytes, kind: type[T]) -> T:
    """A JSON document as this type. Null counts as absent, because API servers are written in Go: before 1.34
    they write `creationTimestamp: null` into every pod template.

    :raises msgspec.MsgspecError: it is not JSON, or of another type.
    """
    try:
        return _get_decoder(kind).decode(body)
    except msgspec.ValidationError:
        if b"null" not in body:
            raise
        document = msgspec.json.decode(body)
        if isinstance(document, dict):  # an empty list may have null items
            kept = {"items": None} if "items" in document else {}
            document = {**kept, **drop_nulls(document)}
        return _get_decoder(kind).decode(msgspec.json.encode(document))


def _get_decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The decoder of a type, made by one thread at a time: msgspec 0.22 crashes the interpreter where two
    threads are the first to decode the same Struct.
    """
    with _lock:
        if kind not in _decoders:
            _decoders[kind] = msgspec.json.Decoder(kind)
        return _decoders[kind]


def drop_nulls(node: Any) -> Any:
    """The same document without mapping entries whose value is null."""
    if isinstance(node, dict):
        return {key: drop_nulls(value) for key, value in node.items() if value is not None}
    return [drop_nulls(item) for item in node] if isinstance(node, list) else node
