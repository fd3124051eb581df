"""Work that is shared with forked workers ends as it would without them."""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynocheck.core import pipeline, sharing
from dynocheck.core.sharing import map_shared
from tests.command import run_inside
from tests.suppression.trees import grow

HERE = os.getpid()


@pytest.fixture(autouse=True)
def _processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3), raising=False)
    monkeypatch.setattr(sharing, "_QUOTA", os.devnull)


def share(function: Callable[[int], int], items: int) -> list[int]:
    return map_shared(function, range(items), encode=lambda n: n.to_bytes(4), decode=int.from_bytes)


def wait_for_worker(number: int) -> None:
    """Leave the other items to workers."""
    if os.getpid() == HERE and number == 0:
        time.sleep(0.1)


@pytest.mark.parametrize("items", [0, 1, 2, 300, 70_000])
def test_results_keep_their_order(items: int) -> None:
    assert share(lambda number: number * 2, items) == [number * 2 for number in range(items)]


def test_workers_take_part() -> None:
    def tell_process(number: int) -> int:
        time.sleep(0.01)
        return os.getpid()

    processes = {*share(tell_process, 20)}
    assert HERE in processes
    assert len(processes) > 1


@pytest.mark.parametrize(
    ("quota", "processes"),
    [("max 100000", 3), ("800000 100000", 3), ("150000 100000", 2), ("50000 100000", 1), ("", 3)],
)
def test_a_quota_limits_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, processes: int
) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{quota}\n")
    monkeypatch.setattr(sharing, "_QUOTA", str(file))

    def tell_process(number: int) -> int:
        time.sleep(0.02)
        return os.getpid()

    assert len({*share(tell_process, 20)}) == processes


def test_a_killed_worker_leaves_its_items_to_this_process() -> None:
    def die_in_worker(number: int) -> int:
        wait_for_worker(number)
        if os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert share(die_in_worker, 20) == [*range(20)]


def test_a_worker_that_hangs_leaves_its_items_to_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_PATIENCE_S", 0.2)
    held = threading.Lock()
    held.acquire()
    giver = threading.Timer(0.3, held.release)
    giver.start()

    def wait_for_lock(number: int) -> int:
        wait_for_worker(number)
        with held:  # nobody gives it back in a worker, which has no other threads
            return number

    assert share(wait_for_lock, 20) == [*range(20)]
    giver.join()


def test_the_first_exception_is_raised_here() -> None:
    def refuse(number: int) -> int:
        wait_for_worker(number)
        if number in (7, 11):
            raise ValueError(number)
        return number

    with pytest.raises(ValueError, match=r"^7$"):
        share(refuse, 20)


def test_a_result_that_cannot_be_sent_is_found_again_here() -> None:
    def find_big(number: int) -> int:
        wait_for_worker(number)
        return 1 << 40

    assert share(find_big, 5) == [1 << 40] * 5


def test_a_limit_of_processes_leaves_the_work_to_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    assert {*share(lambda _: os.getpid(), 5)} == {HERE}


def test_an_interrupt_ends_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: list[int] = []
    fork = os.fork

    def fork_and_tell() -> int:
        workers.append(fork())
        return workers[-1]

    def interrupt(number: int) -> int:
        if os.getpid() == HERE:
            raise KeyboardInterrupt
        time.sleep(60)
        return number

    monkeypatch.setattr(os, "fork", fork_and_tell)
    with pytest.raises(KeyboardInterrupt):
        share(interrupt, 5)
    assert len(workers) == 2
    for worker in workers:
        with pytest.raises(ChildProcessError):  # it has ended, and was waited for
            os.waitpid(worker, os.WNOHANG)


def test_a_tree_is_judged_alike_with_and_without_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(32, 16).write(tmp_path)
    monkeypatch.setattr(pipeline, "_MANY", 10)

    def judge_tree() -> list[dict[str, Any]]:
        verdicts = run_inside("recipe", tmp_path, "-o", "json").report["verdicts"]
        return [{**verdict, "duration_s": 0} for verdict in verdicts]

    shared = judge_tree()
    monkeypatch.delattr(os, "sched_getaffinity")
    assert shared == judge_tree()
