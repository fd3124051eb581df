"""The user's Ctrl-C, for a probe that has something to give when its look is cut short."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interruption:
    """A source of probes. Who heeds it is waited for a moment after Ctrl-C; the others are left alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come = False
        self._acts: list[Callable[[], None]] = []

    @contextmanager
    def on_interrupt(self, act: Callable[[], None]) -> Iterator[None]:
        """Have this done when it comes inside the block, or at once when it has come already.

        :param act: is quick, raises nothing, and may be called by another thread.
        """
        with self._lock:
            self._acts.append(act)
            if self._come:
                act()
        try:
            yield
        finally:
            with self._lock:
                self._acts.remove(act)

    def trigger(self) -> None:
        """Tell those who heed it."""
        with self._lock:
            self._come = True
            for act in self._acts:
                act()
