import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from dynocheck.reports.progress import show_progress

_MARK = "\x00"


class Terminal:
    """A terminal of 60 columns whose screen can be looked at."""

    def __init__(self) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.stream: TextIO = open(theirs, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        self.line = ""
        self.seen = False

    def look(self) -> str:
        self.stream.write(_MARK)  # what was written before it has arrived when it has
        self.stream.flush()
        written = ""
        while not written.endswith(_MARK):
            written += os.read(self.ours, 1).decode()
        written = written.removesuffix(_MARK)
        self.seen |= bool(written)
        assert "\n" not in written
        for part in written.split("\r"):
            self.line = part + self.line[len(part) :]
            assert len(self.line) < 60
        return self.line.rstrip()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.stream.close()
    os.close(made.ours)


def test_it_names_what_is_still_being_looked_at(terminal: Terminal) -> None:
    with show_progress(terminal.stream, after_s=0) as progress:
        progress(["nodes", "storage_classes"])
        assert terminal.look() == "looking for 0 s, waiting for: nodes, storage_classes"
        progress(["nodes"])
        assert terminal.look() == "looking for 0 s, waiting for: nodes"


def test_it_is_gone_afterwards(terminal: Terminal) -> None:
    with show_progress(terminal.stream, after_s=0) as progress:
        progress(["nodes"])
        assert terminal.look()
    assert terminal.look() == ""


def test_it_is_gone_when_the_run_is_interrupted(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), show_progress(terminal.stream, after_s=0) as progress:  # noqa: PT012
        progress(["nodes"])
        raise KeyboardInterrupt
    assert terminal.look() == ""


def test_a_quick_run_shows_nothing(terminal: Terminal) -> None:
    with show_progress(terminal.stream) as progress:
        progress(["nodes"])
    terminal.look()
    assert not terminal.seen


def test_it_keeps_to_one_line_however_many_and_odd_the_names(terminal: Terminal) -> None:
    with show_progress(terminal.stream, after_s=0) as progress:
        progress(["\x1b[2J\n名", *(f"probe_{n}" for n in range(50))])
        assert terminal.look().startswith(r"looking for 0 s, waiting for: \x1b[2J\n\u540d, probe_0")
        assert terminal.look().endswith("...")


# A log


class Log:
    """What a stream that is no terminal gets, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.now = 0.0

    def lines(self, *steps: tuple[float, str]) -> list[str]:
        """Those of a wait for these things, at these seconds from its start."""
        with show_progress(self.stream, clock=lambda: self.now) as progress:
            for self.now, name in steps:
                progress([name])
        return self.stream.getvalue().splitlines()


def every_tenth(until: float, name: str) -> list[tuple[float, str]]:
    return [(tick / 10, name) for tick in range(int(until * 10))]


def test_a_quick_run_leaves_no_line_in_a_log() -> None:
    assert Log().lines(*every_tenth(4.9, "nodes")) == []


def test_a_log_is_told_of_a_long_wait_every_fifteen_seconds() -> None:
    assert Log().lines(*every_tenth(36, "readiness")) == [
        "looking for 5 s, waiting for: readiness",
        "looking for 20 s, waiting for: readiness",
        "looking for 35 s, waiting for: readiness",
    ]


def test_a_log_is_told_at_once_of_what_is_new() -> None:
    assert Log().lines((5, "no model is listed"), (7.1, "request 1 of 3"), (8, "load"), (9.2, "load")) == [
        "looking for 5 s, waiting for: no model is listed",
        "looking for 7 s, waiting for: request 1 of 3",
        "looking for 9 s, waiting for: load",
    ]


def test_other_numbers_and_what_comes_and_goes_are_nothing_new_to_a_log() -> None:
    flapping = [(6 + tick / 10, ("connect: refused", f"request {tick} of 3")[tick % 2]) for tick in range(80)]
    lines = Log().lines(*flapping)
    assert [line.partition(": ")[2] for line in lines] == ["connect: refused", "request 21 of 3"]


def test_a_log_shows_no_control_characters() -> None:
    assert Log().lines((5, "\x1b[2J\n")) == [r"looking for 5 s, waiting for: \x1b[2J\n"]


def test_a_run_outlives_the_reader_of_its_log() -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    log = Log()
    log.stream = Gone()
    assert len(log.lines((5, "nodes"), (30, "pods"))) == 1
