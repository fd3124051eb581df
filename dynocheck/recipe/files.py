"""Reads a single file of a recipe as kubectl does."""

import codecs
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from dynocheck.facts import Manifest, Problem, Role, SourceFile, Value, is_openshift_template
from dynocheck.recipe.secrets import withhold
from dynocheck.recipe.templates import (
    fill,
    has_branches,
    has_parts,
    is_template_of_yaml,
    open_tags,
    quote_variables,
    replace_tags,
    suggest_rendering,
    unquote_variables,
)
from dynocheck.recipe.yaml_loader import read_documents

MAX_BYTES = 10 * 1024 * 1024
YAML_SUFFIXES = (".yaml", ".yml")
_PEEK = 4096  # bytes within which a JSON manifest has its apiVersion
_SAVE = "save it as UTF-8"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class LoadedFile(NamedTuple):
    """A file with its text, empty if it could not be decoded."""

    file: SourceFile
    text: str


def escape_path(path: Path) -> str:
    """A path as printable text: undecodable bytes and control characters are escaped."""
    name = os.fsencode(path.as_posix()).decode(errors="backslashreplace")
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def explain_error(error: OSError | ValueError) -> str:
    """The reason of an error, without the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def describe_fatal(file: SourceFile) -> str | None:
    """The position and reason of a file's fatal error; None if it has none."""
    fatal = next((problem for problem in file.problems if problem.fatal), None)
    if fatal is None:
        return None
    place = ":".join(str(part) for part in (file.path, fatal.line, fatal.column) if part)
    return f"{place}: {'not YAML: ' if fatal.line else ''}{fatal.message}"


def describe_unreadable(file: SourceFile) -> str | None:
    """Why a file could not be read at all; None if its text was read."""
    return describe_fatal(file) if any(p.fatal and p.line is None for p in file.problems) else None


def try_read_text(path: Path) -> str | None:
    """The text of a file; None if it cannot be read."""
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError):
        return None


def is_manifest(path: Path) -> bool:
    """Whether kubectl applies the file with its folder, or what it is a template of. A JSON file counts only
    if it has an apiVersion.
    """
    if path.suffix != ".json":
        return path.name.endswith(YAML_SUFFIXES) or is_template_of_yaml(path.name)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as stream:
            return b'"apiVersion"' in stream.read(_PEEK)
    except OSError:
        return False


def read_file(path: Path, role: Role, variables: Mapping[str, str]) -> LoadedFile:
    """Read a manifest file and its YAML errors.

    :param variables: what fills in `${NAME}`.
    """
    name = escape_path(path)
    problems: list[Problem] = []
    try:
        text = fill(_decode_as_kubectl(_read_bytes(path), problems), variables)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return LoadedFile(SourceFile(name, problems=(Problem("not UTF-8 text", line),), role=role), "")
    except OSError as error:
        return LoadedFile(SourceFile(name, problems=(Problem(explain_error(error)),), role=role), "")
    return parse_file(name, text, role, problems)


def parse_file(
    name: str, text: str, role: Role, problems: list[Problem], *, tags: dict[str, str] | None = None
) -> LoadedFile:
    """The file of this name with this text; `problems` are those found so far.

    :param tags: how what is filled in was spelled, by name, if the file is known to be a template.
    """
    found: list[Problem] = []
    template = False
    documents = read_documents(text, found) if tags is None else _read_template(text, found)
    if any(problem.fatal for problem in found) and not has_parts(text):
        opened, spelled = open_tags(text)
        left: list[Problem] = []
        retried = _read_template(opened, left)
        if retried and not any(problem.fatal for problem in left):
            template = not spelled
            text, documents, found, tags = opened, retried, left, (tags or {}) | spelled
    if any(problem.fatal for problem in found) and _is_valid_when_rendered(text):
        remedy = suggest_rendering("\n".join((text, *(tags or {}).values())))
        found = [
            msgspec.structs.replace(problem, when_rendered=True, fix=remedy) if problem.fatal else problem
            for problem in found
        ]
        template = template or not has_branches(text)
    documents = [withhold(document) for document in documents]
    template = template or any(map(is_openshift_template, documents))
    if any(Manifest(name, root).group == "kustomize.config.k8s.io" for root in documents):
        role = Role.KUSTOMIZE
    problems += found
    file = SourceFile(name, tuple(documents), tuple(problems), role, template, tags=tags or {})
    return LoadedFile(file, text)


def _read_template(text: str, problems: list[Problem]) -> list[Value]:
    """The documents of a template, in which a `${NAME}` may be where YAML takes none."""
    quoted = quote_variables(text)
    documents = read_documents(quoted, problems)
    return documents if quoted == text else [_unquote(document) for document in documents]


def _unquote(value: Value) -> Value:
    data = value.data
    if isinstance(data, str):
        data = unquote_variables(data)
    elif isinstance(data, list):
        data = [_unquote(element) for element in data]
    elif isinstance(data, dict):
        data = {unquote_variables(key): _unquote(entry) for key, entry in data.items()}
    return Value(data, value.line, value.column)


def list_encoding_problems(file: SourceFile) -> list[Problem]:
    """What is wrong with a file's bytes, whatever their text is."""
    return [problem for problem in file.problems if problem.fix == _SAVE]


def read_rendered(name: str, text: str, tags: Mapping[str, str] = MappingProxyType({})) -> LoadedFile:
    """Read what kustomize or Helm printed.

    :param name: the path of the kustomization or the chart, and a word for its output.
    :param tags: what is still open in it, by the name of the `${NAME}` in its place.
    """
    problems: list[Problem] = []
    read = _read_template if tags else read_documents
    documents = tuple(withhold(document) for document in read(text, problems))
    file = SourceFile(name, documents, tuple(problems), rendered=True, tags=dict(tags))
    return LoadedFile(file, text)


def _is_valid_when_rendered(text: str) -> bool:
    """Whether a template that is not YAML may become YAML once it is rendered."""
    left: list[Problem] = []
    bare = replace_tags(text)
    valid = bool(read_documents(bare, left)) and not any(problem.fatal for problem in left)
    return bare != text and (valid or has_branches(text))


def _decode_as_kubectl(content: bytes, problems: list[Problem]) -> str:
    """Decode a manifest as kubectl does (FileVisitor of cli-runtime): UTF-16 with a byte order mark, else
    UTF-8, where invalid bytes are replaced.

    :raises UnicodeDecodeError: it is not text.
    """
    marked = content.startswith(_UTF16) and not content.startswith(codecs.BOM_UTF32_LE)
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        if marked or b"\0" in content:
            raise
        line = content.count(b"\n", 0, error.start) + 1
        message = "not UTF-8 text: kubectl replaces the byte with \ufffd"
        problems.append(Problem(message, line, fatal=False, fix=_SAVE))
        return content.decode("utf-8-sig", "replace")
    if marked:
        message = "UTF-16: kubectl reads it, most other tools do not"
        problems.append(Problem(message, 1, 1, fatal=False, fix=_SAVE))
    return text


def read_text(path: Path) -> str:
    """The text of a file.

    :raises OSError: it cannot be read, is not a regular file, or is too large.
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
