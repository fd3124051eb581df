"""One file of a recipe: whether it counts, and what it says, as kubectl reads it."""

import codecs
import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

from dynocheck.facts.recipe.recipes import Manifest, Problem, Role, SourceFile
from dynocheck.recipe.secrets import withhold
from dynocheck.recipe.yaml_loader import read_documents

MAX_BYTES = 10 * 1024 * 1024
YAML_SUFFIXES = (".yaml", ".yml")
_PEEK = 4096  # bytes in which a manifest in JSON says its apiVersion, which other files do not
_SAVE = "save it as UTF-8"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class LoadedFile(NamedTuple):
    """A file with the text that it was read from, empty where it is none."""

    file: SourceFile
    text: str


def escape_path(path: Path) -> str:
    """A path as text that any output can carry: bytes that are no text, and control characters, escaped."""
    name = os.fsencode(path.as_posix()).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def explain_error(error: OSError | ValueError) -> str:
    """Why a path cannot be used, without the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def describe_fatal(file: SourceFile) -> str | None:
    """Where and why a file, or the rest of one, could not be read; none when all of it was."""
    fatal = next((problem for problem in file.problems if problem.fatal), None)
    if fatal is None:
        return None
    place = ":".join(str(part) for part in (file.path, fatal.line, fatal.column) if part)
    return f"{place}: {'not YAML: ' if fatal.line else ''}{fatal.message}"


def try_read_text(path: Path) -> str | None:
    """What a page says; one that cannot be read says nothing."""
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError):
        return None


def is_manifest(path: Path) -> bool:
    """Whether kubectl applies it with its folder; of JSON, which much else is too, what has an apiVersion."""
    if path.suffix != ".json":
        return path.name.endswith(YAML_SUFFIXES)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as stream:
            return b'"apiVersion"' in stream.read(_PEEK)
    except OSError:
        return False


def read_file(path: Path, role: Role) -> LoadedFile:
    """A manifest file as it stands, with what is wrong with it as YAML."""
    name = escape_path(path)
    problems: list[Problem] = []
    try:
        text = _decode_as_kubectl(_read_bytes(path), problems)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return LoadedFile(SourceFile(name, problems=(Problem("not UTF-8 text", line),), role=role), "")
    except OSError as error:
        return LoadedFile(SourceFile(name, problems=(Problem(explain_error(error)),), role=role), "")
    documents = [withhold(document) for document in read_documents(text, problems)]
    if any(Manifest(name, root).group == "kustomize.config.k8s.io" for root in documents):
        role = Role.KUSTOMIZE
    return LoadedFile(SourceFile(name, tuple(documents), tuple(problems), role), text)


def _decode_as_kubectl(content: bytes, problems: list[Problem]) -> str:
    """A manifest's text as kubectl reads it (FileVisitor of cli-runtime): UTF-16 where a mark says so, with
    a replacement for bytes that are no UTF-8.

    :raises UnicodeDecodeError: it is no text at all.
    """
    marked = content.startswith(_UTF16) and not content.startswith(codecs.BOM_UTF32_LE)
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if marked or b"\0" in content:
            raise
        line = content.count(b"\n", 0, error.start) + 1
        message = "not UTF-8 text: kubectl puts \ufffd in its place"
        problems.append(Problem(message, line, fatal=False, fix=_SAVE))
        return content.decode("utf-8-sig", "replace")
    if marked:
        message = "UTF-16: kubectl reads it, most other tools do not"
        problems.append(Problem(message, 1, 1, fatal=False, fix=_SAVE))
    return text


def read_text(path: Path) -> str:
    """What a file says.

    :raises OSError: it cannot be read, is no regular file or too large.
    :raises UnicodeDecodeError: it is not UTF-8.
    """
    return _read_bytes(path).decode("utf-8-sig")


def _read_bytes(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MAX_BYTES // 1024 // 1024} MiB: not a manifest")
    return content
