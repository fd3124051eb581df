"""A line on a terminal that says what is still being looked at, and then is gone."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from dynocheck.reports.wording import visible


@contextmanager
def live(stream: TextIO | None = None, *, after_s: float = 0.5) -> Iterator[Callable[[Sequence[str]], None]]:
    """Give a callback to be called, again and again, with the names of the probes still looking.

    :param stream: where the line appears if it is a terminal; standard error when not given.
    :param after_s: seconds of work without a line, so that quick runs show none.
    """
    line = _Line(sys.stderr if stream is None else stream, after_s)
    try:
        yield line.show
    finally:
        line.clear()


class _Line:
    def __init__(self, stream: TextIO, after_s: float) -> None:
        self.stream = stream
        self.start = time.monotonic()
        self.after_s = after_s if stream.isatty() else float("inf")
        self.shown = 0

    def show(self, names: Sequence[str]) -> None:
        passed = time.monotonic() - self.start
        if passed < self.after_s:
            return
        room = _columns(self.stream) - 1
        said = visible(f"looking for {passed:.0f} s, waiting for: {', '.join(names)}", "ascii")
        if len(said) > room:
            said = f"{said[: max(room - 3, 0)]}..."
        self.stream.write(f"\r{said:<{self.shown}}")
        self.stream.flush()
        self.shown = len(said)

    def clear(self) -> None:
        if self.shown:
            self.stream.write(f"\r{'':<{self.shown}}\r")
            self.stream.flush()


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
