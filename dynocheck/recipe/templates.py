"""Templates: manifests with `${NAME}` that envsubst fills in before they are applied."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from dynocheck.core.errors import UsageError
from dynocheck.core.files import MIB, read_bounded

_RENDERER = re.compile(r"\benvsubst\b")
_FILLER = re.compile(r"\b(?:envsubst|sed)\b")
_TAG = re.compile(r"\$\{\w+(?::?[-=?+][^{}\n]{0,200})?\}|\{\{\{?[^{}]*\}\}\}?|\{%[^{}%]*%\}")
_CONTROL = re.compile(r"\{\{-?\s{0,9}(?:if|range|with|for|else|end|define|include|template)\b")
_NAMED = re.compile(r"[.-](?:template|tmpl|tpl)(?:\.ya?ml)?$")
_MARK = "\ufdd0"  # no text has this code point
_VARIABLE = re.compile(r"\$\{\w+\}")
_SCRIPT_SUFFIXES = (".sh", ".bash", ".mk")
_SCRIPT_NAMES = ("makefile", "justfile")
_MAX_SCRIPT = 256 * 1024  # bytes


def is_variable(word: str) -> bool:
    """Whether a word is nothing but a `${NAME}`, in whose place envsubst puts any other."""
    return _VARIABLE.fullmatch(word) is not None


def replace_tags(text: str) -> str:
    """A template without the lines that are nothing but tags, and with a word for each other tag."""
    lines = _TAG.sub(_MARK, text).split("\n")
    filled = ("" if line and not line.strip(f"{_MARK} \t") else line.replace(_MARK, "x") for line in lines)
    return "\n".join(filled)


def has_branches(text: str) -> bool:
    """Whether a template has parts that only some values render."""
    return _CONTROL.search(text) is not None


def uses_tags(text: str) -> bool:
    """Whether a template is one of Helm or Jinja, rather than of envsubst."""
    return "{{" in text


def suggest_rendering(text: str) -> str:
    """What lets a template be judged."""
    if uses_tags(text):
        return "the rendered file: helm template NAME CHART > rendered.yaml && dynocheck recipe rendered.yaml"
    return "--set NAME=VALUE or --env-file FILE"


def runs_envsubst(text: str) -> bool:
    """Whether a script or a page mentions envsubst."""
    return _RENDERER.search(text) is not None


def is_marked(path: str, manifest: str) -> bool:
    """Whether a manifest's name or a comment in it says that it is filled in."""
    if _NAMED.search(path):
        return True
    lines = manifest.splitlines() if "envsubst" in manifest else []
    return any(line.lstrip().startswith("#") and runs_envsubst(line) for line in lines)


def read_scripts(folder: Path, names: Iterable[str]) -> list[str]:
    """The texts of the scripts and pages of a folder that mention envsubst or sed.

    :param names: the names of the files in the folder.
    """
    likely = (n for n in names if n.lower() in _SCRIPT_NAMES or n.endswith((*_SCRIPT_SUFFIXES, ".md")))
    texts = (_read_start(folder / name) for name in likely)
    return [text for text in texts if _FILLER.search(text)]


def _read_start(path: Path) -> str:
    if not os.path.isfile(path):  # noqa: PTH113 - never raises
        return ""
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_SCRIPT).decode(errors="replace")
    except OSError:
        return ""


def fill(text: str, variables: Mapping[str, str]) -> str:
    """The text with `$NAME` and `${NAME}` replaced, as envsubst does with these variables alone."""
    if not variables:
        return text
    names = "|".join(map(re.escape, sorted(variables, key=len, reverse=True)))
    pattern = re.compile(rf"\$(?:\{{({names})\}}|({names})\b)")
    return pattern.sub(lambda match: variables[match[1] or match[2]], text)


def parse_assignments(assignments: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """The variables of `--set NAME=VALUE` and `--env-file FILE`; --set overrides a file.

    A file has a line NAME=VALUE for each, with quotes, comments and `export` as a shell reads them.

    :raises UsageError: a file cannot be read, or a line or an assignment has no NAME=VALUE.
    """
    variables: dict[str, str] = {}
    for file in files:
        try:
            lines = read_bounded(file, MIB).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise UsageError(f"--env-file {file}: {reason}") from None
        for number, line in enumerate(lines, 1):
            variables |= _parse_line(line, f"--env-file {file}:{number}")
    for assignment in assignments:
        name, value = _split(assignment, f"--set {assignment}")
        variables[name] = value
    return variables


def _parse_line(line: str, place: str) -> dict[str, str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None
    return dict(_split(word, place) for word in words if word != "export")


def _split(assignment: str, place: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise UsageError(f"{place}: write NAME=VALUE")
    return name, value
