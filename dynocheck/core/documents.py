"""Reads dynocheck's own JSON files, whose `schema` names their format and its version."""

from pathlib import Path
from typing import TypeVar

import msgspec

from dynocheck.core.bundle import is_bundle, read_snapshot
from dynocheck.core.errors import UsageError
from dynocheck.core.files import MIB, read_bounded

_MOST = 512 * MIB


class Document(msgspec.Struct, frozen=True):
    """A file with a schema such as `dynocheck.snapshot/v1`."""

    schema: str


D = TypeVar("D", bound=Document)


def read_document(path: Path, kind: type[D], schema: str) -> D:
    """Read a file of this schema, or the snapshot in a support bundle.

    :raises UsageError: it cannot be read, or has another format or version.
    """
    noun = schema.partition("/")[0].removeprefix("dynocheck.")
    try:
        content = read_bounded(path, _MOST)
        if is_bundle(content):
            content = read_snapshot(content, _MOST)
        document = msgspec.json.decode(content, type=kind)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a {noun}: {error}") from None
    if document.schema != schema:
        raise UsageError(f"{path}: a {noun} of schema {document.schema!r}, this version reads {schema}")
    return document
