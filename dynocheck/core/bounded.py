"""Runs code of plug-ins in a forked child, so that a hang or an exit of theirs does not end the run."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from dynocheck.core.children import Child, ChildFailed
from dynocheck.core.errors import PluginError

_MAX_BYTES = 64 * 1024 * 1024
_exit = os._exit  # a plug-in may replace it


def run_bounded(function: Callable[[], bytes], limit_s: float) -> bytes:
    """Call a function in a child of this process, and return what it returns.

    :param function: raises nothing.
    :raises PluginError: it did not end in time, ended the process, or returned more than 64 MiB.
    """
    if not hasattr(os, "fork"):
        return function()
    child = Child(lambda: _flush(function()))
    try:
        return child.read(_MAX_BYTES, limit_s)
    except ChildFailed as error:
        raise PluginError(str(error)) from None
    finally:
        child.end()


def _flush(answer: bytes) -> bytes:
    """The answer, after what the plug-in printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    return answer


def refuse_exit() -> None:
    """Let os._exit raise in this process, where code of plug-ins runs on threads of it."""
    process = os.getpid()

    def refuse(code: int = 0) -> NoReturn:
        if os.getpid() == process:
            raise PluginError(f"called os._exit({code})")
        _exit(code)

    os._exit = refuse  # type: ignore[assignment]
