"""Ctrl-C and SIGTERM: the end of a run that reports what it knows, and probes with a partial result."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130
_TERMINATED = 143
_ENDING = (signal.SIGINT, signal.SIGTERM)
_terminated = threading.Event()


def handle_sigterm() -> None:
    """Let SIGTERM do what Ctrl-C does, also where a shell has set the process deaf to Ctrl-C."""

    def terminate(*_: object) -> None:
        _terminated.set()
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL, None):
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, terminate)


@contextmanager
def hold_signals(notify: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM take effect at the end of the block; other threads than the main one get none.

    :param notify: called inside the block when one of them comes, amid whatever the main thread does then.
    """
    held: list[int] = []

    def hold(number: int, _: object) -> None:
        held.append(number)
        notify()

    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _ENDING} if is_main else {}
    heeded = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in heeded:
            signal.signal(number, hold)
        yield
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


def convert_interrupt(code: int) -> int:
    """The exit code of a run, with 143 for 130 if SIGTERM interrupted it."""
    return _TERMINATED if code == INTERRUPTED and _terminated.is_set() else code


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
