"""What is still being looked at: on a terminal a line that is gone in the end, in a log one now and then."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from dynocheck.reports._text import sanitize

_LOG_AFTER_S = 5.0
_NEWS_S = 2.0  # between one line of a log and the next, whatever happens
_AGAIN_S = 15.0  # until what a log has is said again: who watches it may think that nothing moves
_COUNTED = re.compile(r"\S*\d\S*")


@contextmanager
def show_progress(
    stream: TextIO | None = None, *, after_s: float = 0.5, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[Sequence[str]], None]]:
    """Give a callback to be called, again and again, with the names of the probes still looking.

    A terminal shows the last ones on one line. Any other stream is a log: it gets a line when what is waited
    for is new, other numbers apart, and one every 15 seconds.

    :param stream: where it is said; standard error when not given.
    :param after_s: seconds of work without a line on a terminal, so that quick runs show none; a log has
        none for 5 seconds.
    :param clock: gives the time in seconds.
    """
    chosen = sys.stderr if stream is None else stream
    said: _ProgressDisplay = (
        _StatusLine(chosen, after_s, clock) if chosen.isatty() else _ProgressLog(chosen, clock)
    )
    try:
        yield said.show
    finally:
        said.clear()


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
        said = _format_progress(passed, names)
        if len(said) > room:
            said = f"{said[: max(room - 3, 0)]}..."
        self.stream.write(f"\r{said:<{self.shown}}")
        self.stream.flush()
        self.shown = len(said)

    def clear(self) -> None:
        if self.shown:
            self.stream.write(f"\r{'':<{self.shown}}\r")
            self.stream.flush()


class _ProgressLog:
    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self.stream = stream
        self.clock = clock
        self.start = clock()
        self.due = _LOG_AFTER_S  # seconds from the start until something new may be said
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
        except OSError:  # who read it has gone, and the report goes elsewhere
            self.due = float("inf")

    def clear(self) -> None:
        """A log keeps what it has."""


def _format_progress(passed: float, names: Sequence[str]) -> str:
    return sanitize(f"looking for {passed:.0f} s, waiting for: {', '.join(names)}", "ascii")


def _measure_width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
