"""Starts threads, also where memory is short."""

import _thread
import threading
from collections.abc import Callable

_BEGIN_S = 10.0


def start_thread(work: Callable[[], None]) -> None:
    """Run a function on another thread, which does not keep the process alive.

    `threading.Thread.start` waits for ever where a thread runs out of memory before its first step.

    :param work: raises nothing.
    :raises RuntimeError: no thread can be started, or none has begun in time: it will not run then.
    :raises MemoryError: there is no room for another thread.
    """
    begun, claim = threading.Event(), threading.Lock()

    def run() -> None:
        if claim.acquire(blocking=False):
            begun.set()
            work()

    _thread.start_new_thread(run, ())
    if not begun.wait(_BEGIN_S) and claim.acquire(blocking=False):
        raise RuntimeError("a thread does not begin")
