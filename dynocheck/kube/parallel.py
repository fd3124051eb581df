"""Makes requests in threads: several in parallel, or one that Ctrl-C cannot break."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import NoReturn, TypeVar

from dynocheck.core.cancellation import hold_signals
from dynocheck.core.threads import start_thread

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
    ended: SimpleQueue[None] = SimpleQueue()

    def work() -> None:
        try:
            while left:
                with suppress(IndexError):  # another thread took the last one
                    index, call = left.pop()
                    try:
                        results[index] = call()
                    except BaseException as error:
                        errors[index] = error
        finally:
            ended.put(None)

    started = 0
    with suppress(RuntimeError, MemoryError):  # a limit of threads: fewer do it too
        for _ in calls[:_AT_ONCE]:
            start_thread(work)
            started += 1
    if not started:
        work()
    for _ in range(started):
        ended.get()
    if errors:
        raise errors[min(errors)]
    return [results[i] for i in range(len(calls))]


def shield(call: Callable[[], T], *, to_its_end: bool = False) -> T:
    """The result of a call that another thread makes: Ctrl-C and SIGTERM end the wait, and break nothing
    within. A request that they break may leave a lock of the connections taken, for which the next request
    waits for ever, and may create what nobody deletes.

    :param to_its_end: whether the first of these signals does not end the wait, but the second does.
    :raises BaseException: the exception of the call.
    """
    news: SimpleQueue[Callable[[], T] | None] = SimpleQueue()  # the end of the call, and None for a signal

    def work() -> None:
        try:
            result = call()
        except BaseException as error:
            news.put(partial(_raise, error))
        else:
            news.put(lambda: result)

    with hold_signals(lambda: news.put(None)):
        try:
            start_thread(work)
        except (RuntimeError, MemoryError):  # a limit of threads
            work()
        end = news.get()
        if end is None and to_its_end:
            end = news.get()
    assert end is not None, "a held signal is raised at the end of the block"
    return end()


@contextmanager
def keep_for_block(create: Callable[[], None], delete: Callable[[], None]) -> Iterator[None]:
    """What a call creates is there inside the block, and deleted at its end, whenever Ctrl-C comes.

    :raises BaseException: the exception of either call.
    """
    begun = False

    def delete_once() -> None:
        nonlocal begun
        begun = True
        delete()

    try:
        try:
            shield(create, to_its_end=True)
            yield
        finally:
            shield(delete_once, to_its_end=True)
    finally:
        if not begun:  # Ctrl-C came just before
            shield(delete_once, to_its_end=True)


def _raise(error: BaseException) -> NoReturn:
    raise error
