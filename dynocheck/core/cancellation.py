"""Ctrl-C, for probes that can return a partial result."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interruption:
    """A source of probes. After Ctrl-C the run waits a moment for the probes that take it, for no others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._triggered = False
        self._callbacks: list[Callable[[], None]] = []

    @contextmanager
    def on_interrupt(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call back when Ctrl-C comes inside the block, or at once when it has come already.

        :param callback: is quick, raises nothing, and may be called by another thread.
        """
        with self._lock:
            self._callbacks.append(callback)
            if self._triggered:
                callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    def trigger(self) -> None:
        """Call every callback."""
        with self._lock:
            self._triggered = True
            for callback in self._callbacks:
                callback()
