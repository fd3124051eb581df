import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from dynocheck.reports.progress import live


class Terminal:
    """A terminal of 60 columns whose screen can be looked at."""

    def __init__(self) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        self.stream: TextIO = open(theirs, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        self.line = ""
        self.seen = False

    def look(self) -> str:
        os.set_blocking(self.ours, False)
        try:
            written = os.read(self.ours, 100_000).decode()
        except BlockingIOError:
            written = ""
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
    with live(terminal.stream, after_s=0) as progress:
        progress(["nodes", "storage_classes"])
        assert terminal.look() == "looking for 0 s, waiting for: nodes, storage_classes"
        progress(["nodes"])
        assert terminal.look() == "looking for 0 s, waiting for: nodes"


def test_it_is_gone_afterwards(terminal: Terminal) -> None:
    with live(terminal.stream, after_s=0) as progress:
        progress(["nodes"])
        assert terminal.look()
    assert terminal.look() == ""


def test_it_is_gone_when_the_run_is_interrupted(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), live(terminal.stream, after_s=0) as progress:  # noqa: PT012
        progress(["nodes"])
        raise KeyboardInterrupt
    assert terminal.look() == ""


def test_a_quick_run_shows_nothing(terminal: Terminal) -> None:
    with live(terminal.stream) as progress:
        progress(["nodes"])
    terminal.look()
    assert not terminal.seen


def test_it_keeps_to_one_line_however_many_and_odd_the_names(terminal: Terminal) -> None:
    with live(terminal.stream, after_s=0) as progress:
        progress(["\x1b[2J\n名", *(f"probe_{n}" for n in range(50))])
        assert terminal.look().startswith(r"looking for 0 s, waiting for: \x1b[2J\n\u540d, probe_0")
        assert terminal.look().endswith("...")


def test_a_pipe_gets_nothing() -> None:
    stream = io.StringIO()
    with live(stream, after_s=0) as progress:
        progress(["nodes"])
    assert stream.getvalue() == ""
