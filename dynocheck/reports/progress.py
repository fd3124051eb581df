"""Progress on standard error: a status line on a terminal, occasional lines in a log."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from dynocheck.reports._text import sanitize

_LOG_AFTER_S = 5.0
_NEWS_S = 2.0  # at least, between two lines of a log
_AGAIN_S = 15.0  # until a line of a log is repeated, to show that the run is alive
_COUNTED = re.compile(r"\S*\d\S*")


@contextmanager
def show_progress(
    stream: TextIO | None = None, *, after_s: float = 0.5, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Sequence[str]], None]]:
    """Yield a callback that takes the names of the running probes, to be called repeatedly.

    A terminal shows them on one line that is erased at the end. Any other stream is a log: it gets a line for
    new names, numbers aside, and one every 15 seconds.

    :param stream: standard error by default.
    :param after_s: seconds before the first line on a terminal, so that quick runs show none; 5 in a log.
    :param clock: returns seconds.
    """
    chosen = sys.stderr if stream is None else stream
    display: _ProgressDisplay = (
        _StatusLine(chosen, after_s, clock) if chosen.isatty() else _ProgressLog(chosen, clock)
    )
    try:
        yield display.show
    finally:
        display.clear()


class _ProgressDisplay(Protocol):
    def show(self, names: Sequence[str]) -> None: ...
    def clear(self) -> None: ...


class _StatusLine:
    def __init__(self, stream: TextIO, after_s: float, clock: Callable[[], float]) -> None:
        self.stream = stream
        self.clock = clock
        self.start = clock()
        self.after_s = after_s
        self.shown = 0

    def show(self, names: Sequence[str]) -> None:
        passed = self.clock() - self.start
        if passed < self.after_s:
            return
        room = _measure_width(self.stream) - 1
        text = _format_progress(passed, names)
        if len(text) > room:
            text = f"{text[: max(room - 3, 0)]}..."
        self.stream.write(f"\r{text:<{self.shown}}")
        self.stream.flush()
        self.shown = len(text)

    def clear(self) -> None:
        if self.shown:
            self.stream.write(f"\r{'':<{self.shown}}\r")
            self.stream.flush()


class _ProgressLog:
    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self.stream = stream
        self.clock = clock
        self.start = clock()
        self.due = _LOG_AFTER_S  # seconds from the start to the next line
        self.known: set[str] = set()

    def show(self, names: Sequence[str]) -> None:
        passed = self.clock() - self.start
        if passed < self.due:
            return
        kind = _COUNTED.sub("", ", ".join(names))
        if kind in self.known and passed < self.due - _NEWS_S + _AGAIN_S:
            return
        self.known.add(kind)
        self.due = passed + _NEWS_S
        try:
            self.stream.write(f"{_format_progress(passed, names)}\n")
            self.stream.flush()
        except OSError:  # the reader has closed it
            self.due = float("inf")

    def clear(self) -> None:
        """Do nothing: a log keeps its lines."""


def _format_progress(passed: float, names: Sequence[str]) -> str:
    return sanitize(f"looking for {passed:.0f} s, waiting for: {', '.join(names)}", "ascii")


def _measure_width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
