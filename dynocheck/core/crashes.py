"""Describes exceptions that a check, a probe or a plug-in was not meant to raise."""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from dynocheck.core.errors import PluginError, UsageError
from dynocheck.secrets import HIDDEN, hide, hide_assigned, is_secret_name

DEBUG = "DYNOCHECK_DEBUG"
ADVICE = f"a fault of the check itself: report it with the message above; {DEBUG}=1 prints the traceback"
_LONGEST = 300
_ASSIGNED = re.compile(r"""(?P<name>[\w.-]+)["']?\s*[=:]\s*["']?(?P<value>[^\s"',;&)}\]]+)""")


def describe_crash(error: BaseException, function: Callable[..., Any] | None = None) -> str:
    """The type and place of an exception, and its text when it is from a custom check or probe.

    The text of an exception of dynocheck itself is left out, because it may hold a secret. With
    DYNOCHECK_DEBUG=1 the traceback goes to standard error.

    :param function: the function of the check or probe.
    """
    if isinstance(error, PluginError):
        return str(error)
    _print_traceback(error)
    if function is not None and not is_own(function):
        file, _ = find_source(function)
        return f"crashed: {describe_exception(error, Path(file).parent)}"
    *_, (file, line) = _list_frames(error.__traceback__)
    return f"crashed: {type(error).__name__} in {Path(file).name}, line {line}"


def describe_failed_import(error: BaseException, folder: Path | None) -> str:
    """The type, text and place of an exception that kept a plug-in in a folder from loading."""
    _print_traceback(error)
    return describe_exception(error, folder)


def describe_exception(error: BaseException, folder: Path | None) -> str:
    """The type, the text without secrets, and the place of an exception: the last line below a folder."""
    if isinstance(error, SyntaxError):
        place = show_place(error.filename, error.lineno) if error.filename else ""
        text = error.msg
    else:
        frames = [place for place in _list_frames(error.__traceback__) if folder in Path(place[0]).parents]
        place = show_place(*frames[-1]) if frames else ""
        text = _get_text(error)
    name = "" if isinstance(error, UsageError) else type(error).__name__
    return ": ".join(filter(None, [name, text])) + (f" ({place})" if place else "")


def is_own(function: Callable[..., Any]) -> bool:
    """Whether a check or probe is dynocheck's own."""
    return str(getattr(function, "__module__", None)).startswith("dynocheck.")


def find_source(function: Callable[..., Any]) -> tuple[str, int]:
    """The file and first line of a function, without its decorators."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else (getattr(function, "__module__", "?"), 1)


def show_place(file: str, line: int | None) -> str:
    """A line of a file, relative to the working folder where it lies below."""
    path = Path(file)
    here = Path.cwd()
    return f"{path.relative_to(here) if here in path.parents else path}:{line}"


def _get_text(error: BaseException) -> str:
    """The text of an exception on one line, shortened, with secrets redacted."""
    try:
        text = _ASSIGNED.sub(_redact, hide_assigned(hide(" ".join(str(error).split()))))
    except Exception:  # its __str__ is broken too
        return ""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _redact(match: re.Match[str]) -> str:
    """What is assigned to the name of a secret in whatever spelling, redacted: `password=x` in a message."""
    return match[0].replace(match["value"], HIDDEN) if is_secret_name(match["name"]) else match[0]


def _list_frames(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    """The file and line of each call, from the outermost to the one that raised."""
    for frame, line in traceback.walk_tb(trace):
        yield frame.f_code.co_filename, line


def _print_traceback(error: BaseException) -> None:
    if os.environ.get(DEBUG):
        traceback.print_exception(error, file=sys.stderr)
