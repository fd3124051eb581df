"""Threads that begin, and one that does not."""

import _thread
import threading
from collections.abc import Callable
from queue import SimpleQueue

import pytest

from dynocheck.core import threads


def test_it_runs_on_another_thread() -> None:
    seen: SimpleQueue[int] = SimpleQueue()
    threads.start_thread(lambda: seen.put(threading.get_ident()))
    assert seen.get(timeout=10) != threading.get_ident()


def test_one_that_does_not_begin_in_time_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no memory for its first step."""
    begun: list[Callable[[], None]] = []
    seen: list[str] = []
    monkeypatch.setattr(_thread, "start_new_thread", lambda run, _: begun.append(run))
    monkeypatch.setattr(threads, "_BEGIN_S", 0.05)
    with pytest.raises(RuntimeError, match="does not begin"):
        threads.start_thread(lambda: seen.append("late"))
    begun[0]()
    assert seen == []
