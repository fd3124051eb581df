"""Runs code of plug-ins in a forked child, so that a hang or an exit of theirs does not end the run."""

import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from dynocheck.core.errors import PluginError

_MAX_BYTES = 64 * 1024 * 1024
_HEAD = 8  # bytes with the length of the answer
_exit = os._exit  # a plug-in may replace it


def run_bounded(function: Callable[[], bytes], limit_s: float) -> bytes:
    """Call a function in a child of this process, and return what it returns.

    :param function: raises nothing.
    :raises PluginError: it did not end in time, ended the process, or returned more than 64 MiB.
    """
    if not hasattr(os, "fork"):
        return function()
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of the threads of late probes, which stay behind
        child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(function, writer)
    os.close(writer)
    try:
        return _read_answer(reader, time.monotonic() + limit_s, limit_s)
    finally:
        os.close(reader)
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def refuse_exit() -> None:
    """Let os._exit raise in this process, where code of plug-ins runs on threads of it."""
    process = os.getpid()

    def refuse(code: int = 0) -> NoReturn:
        if os.getpid() == process:
            raise PluginError(f"called os._exit({code})")
        _exit(code)

    os._exit = refuse  # type: ignore[assignment]


def _answer(function: Callable[[], bytes], writer: int) -> NoReturn:
    """The life of the child, which must not come back from here."""
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        answer = function()
        sys.stdout.flush()
        sys.stderr.flush()
        data = len(answer).to_bytes(_HEAD, "big") + answer
        while data:
            data = data[os.write(writer, data) :]
    finally:
        _exit(0)


def _read_answer(reader: int, deadline: float, limit_s: float) -> bytes:
    data = b""
    length = _HEAD
    while len(data) < length:
        if not select.select([reader], [], [], max(deadline - time.monotonic(), 0))[0]:
            raise PluginError(f"did not end within {limit_s:g} s")
        more = os.read(reader, 1 << 16)
        if not more:
            raise PluginError("ended its process before it had an answer")
        data += more
        if length == _HEAD and len(data) >= _HEAD:
            length += int.from_bytes(data[:_HEAD], "big")
        if length > _MAX_BYTES:
            raise PluginError("answered with more than 64 MiB")
    return data[_HEAD:length]
