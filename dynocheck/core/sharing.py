"""Shares work with forked workers, where there is more than one processor."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from dynocheck.core.children import Child, ChildFailed

T = TypeVar("T")
R = TypeVar("R")

_MOST = 4  # processes; each has its own copy of the memory that it uses
_CHUNKS = 256  # a pipe holds their numbers even where it may have one page
_NUMBER = 4  # bytes
_MAX_BYTES = 1 << 30
_is_worker = False


def map_shared(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    encode: Callable[[R], bytes],
    decode: Callable[[bytes], R],
) -> list[R]:
    """What a function returns for each item, in their order; workers and this process take turns.

    An item without an answer, because the function raised or its worker was killed, is done again here, so
    that it ends as it would without workers.

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

    workers = [*_start_workers(partial(_answer, work, encode, os.getpid()), len(items))]
    try:
        results = dict(work())
        for worker in workers:
            with suppress(ChildFailed):
                answers = msgspec.msgpack.decode(worker.read(_MAX_BYTES), type=list[tuple[int, bytes]])
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
    processes = min(_MOST, items, len(os.sched_getaffinity(0))) if can_fork else 1
    with suppress(OSError):
        for _ in range(processes - 1):
            yield Child(function)


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
