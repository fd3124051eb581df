"""Shares work with forked workers, where there is more than one processor."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from dynocheck.core.children import Child, ChildFailed

T = TypeVar("T")
R = TypeVar("R")

_MOST = 4  # processes; each has its own copy of the memory that it uses
_CHUNKS = 256  # a pipe holds their numbers even where it may have one page
_NUMBER = 4  # bytes
_MAX_BYTES = 1 << 30
_PATIENCE_S = 30.0  # beyond the time of all other items, for the last items of a worker
_QUOTA = "/sys/fs/cgroup/cpu.max"  # of cgroup v2, as a container sees its own
_is_worker = False


def map_shared(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    encode: Callable[[R], bytes],
    decode: Callable[[bytes], R],
) -> list[R]:
    """What a function returns for each item, in their order; workers and this process take turns.

    An item without an answer, because the function raised or its worker was killed or hangs, is done again
    here, so that it ends as it would without workers. A worker may hang at a lock that a thread of this
    process held when it was forked, such as that of an import.

    :param encode: makes bytes of a result, to send it from a worker; `decode` is the reverse.
    """
    step = len(items) // _CHUNKS + 1
    queue = _fill_queue(range(0, len(items), step))

    def work() -> Iterator[tuple[int, R]]:
        while number := os.read(queue, _NUMBER):
            start = int.from_bytes(number, "big")
            for i in range(start, min(start + step, len(items))):
                with suppress(Exception):
                    yield i, function(items[i])

    begun = time.monotonic()
    workers = [*_start_workers(partial(_answer, work, encode, os.getpid()), len(items))]
    try:
        results = dict(work())
        end = time.monotonic() + (time.monotonic() - begun) + _PATIENCE_S
        for worker in workers:
            with suppress(ChildFailed):
                answer = worker.read(_MAX_BYTES, max(end - time.monotonic(), 0))
                answers = msgspec.msgpack.decode(answer, type=list[tuple[int, bytes]])
                results |= {i: decode(answer) for i, answer in answers}
    finally:
        os.close(queue)
        for worker in workers:
            worker.end()
    return [results[i] if i in results else function(item) for i, item in enumerate(items)]


def _fill_queue(numbers: Sequence[int]) -> int:
    """A pipe with these numbers, of which each reader gets others."""
    reader, writer = os.pipe()
    os.write(writer, b"".join(number.to_bytes(_NUMBER, "big") for number in numbers))
    os.close(writer)
    return reader


def _start_workers(function: Callable[[], bytes], items: int) -> Iterator[Child]:
    """Start as many as there are processors besides this one, or as the machine allows."""
    can_fork = hasattr(os, "sched_getaffinity") and not _is_worker
    processes = min(_MOST, items, _count_processors()) if can_fork else 1
    with suppress(OSError):
        for _ in range(processes - 1):
            yield Child(function)


def _count_processors() -> int:
    """The processors that this process may use: of its affinity, and of the quota of its container."""
    allowed = len(os.sched_getaffinity(0))
    with suppress(OSError, ValueError):  # no cgroup v2, or no quota, which is written as max
        quota, period = map(int, Path(_QUOTA).read_text(encoding="ascii").split())
        allowed = min(allowed, -(-quota // period))
    return allowed


def _answer(work: Callable[[], Iterator[tuple[int, R]]], encode: Callable[[R], bytes], parent: int) -> bytes:
    """What a worker sends back. It gives up when its parent is gone."""
    global _is_worker
    _is_worker = True
    answers = []
    for i, result in work():
        with suppress(Exception):
            answers.append((i, encode(result)))
        if os.getppid() != parent:
            break
    return msgspec.msgpack.encode(answers)
