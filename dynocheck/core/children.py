"""Forked children of this process that call a function and send back what it returns."""

import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

_HEAD = 8  # bytes with the length of the answer
_exit = os._exit  # a plug-in may replace it


class ChildFailed(Exception):
    """A child gave no answer; the text says why, as a phrase that follows its name."""


class Child:
    """A child in a process group of its own, so that what it starts ends with it.

    :param function: raises nothing.
    :raises OSError: the limit of processes or of memory is reached.
    """

    def __init__(self, function: Callable[[], bytes]) -> None:
        self._reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", DeprecationWarning
                )  # of the threads of late probes, which stay behind
                self._process = os.fork()
        except OSError:
            os.close(self._reader)
            os.close(writer)
            raise
        if self._process == 0:
            os.close(self._reader)
            _answer(function, writer)
        os.close(writer)

    def read(self, most_bytes: int, limit_s: float = float("inf")) -> bytes:
        """Its answer.

        :raises ChildFailed: it did not answer in time, ended without an answer, or with too long a one.
        """
        deadline = time.monotonic() + limit_s
        data = bytearray()
        length = _HEAD
        while len(data) < length:
            left = None if limit_s == float("inf") else max(deadline - time.monotonic(), 0)
            if not select.select([self._reader], [], [], left)[0]:
                raise ChildFailed(f"did not end within {limit_s:g} s")
            more = os.read(self._reader, 1 << 16)
            if not more:
                raise ChildFailed("ended its process before it had an answer")
            data += more
            if length == _HEAD and len(data) >= _HEAD:
                length += int.from_bytes(data[:_HEAD], "big")
            if length > most_bytes:
                raise ChildFailed(f"answered with more than {most_bytes >> 20} MiB")
        return bytes(data[_HEAD:length])

    def end(self) -> None:
        """Kill it and what it started, if that did not end by itself."""
        os.close(self._reader)
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _answer(function: Callable[[], bytes], writer: int) -> NoReturn:
    """The life of the child, which must not come back from here."""
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        answer = function()
        data = memoryview(len(answer).to_bytes(_HEAD, "big") + answer)
        while data:
            data = data[os.write(writer, data) :]
    finally:
        _exit(0)
