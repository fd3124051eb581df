"""The facts of a run in a file, to be evaluated elsewhere or later: the format `dynocheck.snapshot/v1`."""

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dynocheck._version import __version__
from dynocheck.core.documents import Document, read_document
from dynocheck.core.errors import UsageError
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.outcomes import Tool
from dynocheck.facts import Fact
from dynocheck.secrets import hide_all

SCHEMA = "dynocheck.snapshot/v1"


class _Missing(msgspec.Struct, frozen=True):
    reason: str
    fix: str | None = None


class _Snapshot(Document, frozen=True, kw_only=True):
    tool: Tool
    taken: str
    target: dict[str, Any]
    facts: dict[str, msgspec.Raw]
    missing: dict[str, _Missing]


def encode(knowledge: Knowledge, target: Mapping[str, Any]) -> bytes:
    """The snapshot as JSON, with every secret redacted."""
    now = datetime.datetime.now(datetime.UTC)
    document = {
        "schema": SCHEMA,
        "tool": Tool("dynocheck", __version__),
        "taken": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "target": dict(target),
        "facts": {kind.__name__: fact for kind, fact in knowledge.facts.items()},
        "missing": {kind.__name__: _Missing(m.reason, m.fix) for kind, m in knowledge.missing.items()},
    }
    clean = hide_all(msgspec.to_builtins(document))
    return msgspec.json.format(msgspec.json.encode(clean), indent=1) + b"\n"


def read(path: Path, kinds: Iterable[type[Fact]]) -> tuple[Knowledge, dict[str, Any]]:
    """Read a snapshot: its facts, and the target it was taken of.

    :param kinds: the facts to read; others in the file are ignored.
    :raises UsageError: the file cannot be read, or is not a snapshot.
    """
    document = read_document(path, _Snapshot, SCHEMA)
    return _collect(document, str(path), kinds), document.target


def decode(content: bytes, origin: str, kinds: Iterable[type[Fact]]) -> Knowledge:
    """The facts of a snapshot that is no file.

    :param origin: where it comes from, for messages.
    :raises UsageError: it is not a snapshot.
    """
    try:
        return _collect(msgspec.json.decode(content, type=_Snapshot), origin, kinds)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{origin}: not a snapshot: {error}") from None


def _collect(document: _Snapshot, origin: str, kinds: Iterable[type[Fact]]) -> Knowledge:
    knowledge = Knowledge()
    for kind in kinds:
        name = kind.__name__
        if name in document.facts:
            try:
                knowledge.facts[kind] = msgspec.json.decode(document.facts[name], type=kind)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise UsageError(f"{origin}: fact {name}: {error}") from None
        elif name in document.missing:
            gap = document.missing[name]
            knowledge.missing[kind] = MissingFact(f"when the snapshot was taken: {gap.reason}", gap.fix)
    return knowledge
