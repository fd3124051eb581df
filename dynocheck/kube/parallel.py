"""Runs several requests in parallel."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE = 16


def run_parallel(calls: Sequence[Callable[[], T]]) -> list[T]:
    """The results of these calls in their order; at most _AT_ONCE run at a time.

    The threads are daemons, so that a server that never answers cannot keep the process alive.

    :raises BaseException: the exception of the first call, in their order, that raised one.
    """
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}
    left = list(enumerate(calls))[::-1]

    def work() -> None:
        while True:
            try:
                index, call = left.pop()
            except IndexError:
                return
            try:
                results[index] = call()
            except BaseException as error:
                errors[index] = error

    threads = [threading.Thread(target=work, daemon=True) for _ in calls[:_AT_ONCE]]
    started = []
    with suppress(RuntimeError, MemoryError):  # a limit of threads: fewer do it too
        for thread in threads:
            thread.start()
            started.append(thread)
    if not started:
        work()
    for thread in started:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[i] for i in range(len(calls))]
