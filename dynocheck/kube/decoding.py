"""Answers made into what we read of them."""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(body: bytes, kind: type[T]) -> T:
    """A JSON document as this type. As in Go, in which API servers are written, a null is what is not said:
    before 1.34 they write `creationTimestamp: null` into every pod template.

    :raises msgspec.MsgspecError: it is none.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        if b"null" not in body:
            raise
        said = _drop_nulls(msgspec.json.decode(body))
        return msgspec.json.decode(msgspec.json.encode(said), type=kind)


def _drop_nulls(document: Any) -> Any:
    """The same without what is null, but for the items of a list, which an empty one may have as null."""
    if not isinstance(document, dict):
        return document
    kept = {"items": None} if "items" in document else {}
    return {**kept, **_prune(document)}


def _prune(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _prune(value) for key, value in node.items() if value is not None}
    return [_prune(each) for each in node] if isinstance(node, list) else node
