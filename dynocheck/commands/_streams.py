"""Standard output and error of the process, which may be closed or full."""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dynocheck.reports._text import make_inert
from dynocheck.secrets import hide_assigned

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _ClosedOutput(io.TextIOBase):
    """A standard output that was closed before the start: what is written to it is lost, and an error."""

    def write(self, _: str, /) -> int:
        raise OSError(errno.EBADF, "it is closed")


class _Messages(io.TextIOWrapper):
    """A standard error on which no secret is shown, and nothing is a command to a CI runner."""

    def write(self, text: str, /) -> int:
        super().write(make_inert(hide_assigned(text)))
        return len(text)


class _Forgiving(io.FileIO):
    """A standard error whose faults do not change how a run ends."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def secure() -> None:
    """Fill in standard streams that are closed, so that no file gets their number, and forgive errors on
    standard error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
    raw: Any = _Forgiving(2, "w", closefd=False)
    sys.stderr = _Messages(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True
    )


def flush() -> bool:
    """Flush standard output; False if that fails, and then nothing is left to flush at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
