"""One load test by several processes, where one event loop is too few.

A worker is `python -m dynocheck.loading.workers`. It reads its share of the plan from a line of standard
input, says `ready` after each warm-up, begins at the moment that the next line names, and at last prints
what it measured. The end of its input, whoever closed it, stops it: then it prints what it has.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from time import perf_counter
from typing import Any

import msgspec

from dynocheck.core.errors import UsageError
from dynocheck.facts import LoadRun, Unavailable
from dynocheck.loadtest.merge import merge_runs
from dynocheck.loadtest.plan import LoadPlan
from dynocheck.loadtest.progress import Progress, report_progress
from dynocheck.loadtest.run import Share, run
from dynocheck.serving import Endpoint, ExchangeLimits, SecretValue

_AHEAD_S = 0.05  # from the word to the start: long enough for every worker to have read it
_LAST_S = 10.0  # for a worker that was stopped to print what it has
_LONGEST = 1 << 30
_READY = b"ready\n"


class WorkerResult(msgspec.Struct):
    """How a worker ended."""

    run: LoadRun | None = None
    unavailable: tuple[str, str | None] | None = None
    misused: str | None = None


async def run_workers(plan: LoadPlan, progress: Progress | None = None) -> LoadRun:
    """Make a load test with the plan's number of processes, and merge what they measured.

    :raises UsageError: the prompts cannot be read.
    :raises Unavailable: there is no model to ask, or a worker died.
    """
    workers = [await _start_worker(plan, index) for index in range(plan.workers)]
    said: dict[Process, bytes] = {}
    try:
        async with report_progress(progress or (lambda _: None), lambda: f"{plan.workers} workers"):
            await _conduct(workers, said)
    except asyncio.CancelledError:
        await _stop([worker for worker in workers if worker not in said], said)
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    finally:
        for worker in workers:
            if worker.returncode is None:
                with suppress(ProcessLookupError):
                    worker.kill()
            await worker.wait()
    return merge_runs([decode_result(said.get(worker, b"")) for worker in workers])


async def _start_worker(plan: LoadPlan, index: int) -> Process:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dynocheck.loadtest.workers"),
        stdin=PIPE,
        stdout=PIPE,
        limit=_LONGEST,
        start_new_session=True,  # Ctrl-C is for us to pass on
    )
    assert worker.stdin is not None
    worker.stdin.write(_pack_plan(plan, index) + b"\n")
    return worker


async def _conduct(workers: Sequence[Process], said: dict[Process, bytes]) -> None:
    """Give the start whenever all that are left are ready, until each has ended."""
    while left := [worker for worker in workers if worker not in said]:
        lines = await asyncio.gather(*(_read_line(worker) for worker in left))
        start = f"{perf_counter() + _AHEAD_S!r}\n".encode()
        for worker, line in zip(left, lines, strict=True):
            if line == _READY:
                assert worker.stdin is not None
                worker.stdin.write(start)
            else:
                said[worker] = line


async def _read_line(worker: Process) -> bytes:
    assert worker.stdout is not None
    return await worker.stdout.readline()


async def _stop(workers: Sequence[Process], said: dict[Process, bytes]) -> None:
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_S):
            for worker in workers:
                while (line := await _read_line(worker)) == _READY:
                    pass
                said[worker] = line


def decode_result(line: bytes) -> LoadRun:
    """What a worker measured, of what it said in the end.

    :raises UsageError: the prompts could not be read.
    :raises Unavailable: it measured nothing, or died.
    """
    try:
        said = msgspec.json.decode(line, type=WorkerResult)
    except msgspec.DecodeError:
        raise Unavailable("a worker of the load test died") from None
    if said.misused is not None:
        raise UsageError(said.misused)
    if said.run is None:
        reason, fix = said.unavailable or ("a worker of the load test measured nothing", None)
        raise Unavailable(reason, fix=fix)
    return said.run


def _pack_plan(plan: LoadPlan, index: int) -> bytes:
    """The plan as JSON, with the key, which only the pipe to the worker sees."""
    endpoint = plan.endpoint
    fields = {name: value for name, value in vars(plan).items() if name != "endpoint"}
    reached = {
        "url": endpoint.url,
        "key": endpoint.key.reveal() if endpoint.key else None,
        "headers": dict(endpoint.headers),
        "ca_file": endpoint.ca_file,
        "insecure": endpoint.insecure,
        "limits": asdict(endpoint.limits),
    }
    return msgspec.json.encode({"index": index, "plan": fields, "endpoint": reached})


def _unpack_plan(line: bytes) -> tuple[LoadPlan, int]:
    given: dict[str, Any] = msgspec.json.decode(line)
    reached = given["endpoint"]
    key = SecretValue(reached.pop("key")) if reached["key"] else reached.pop("key")
    endpoint = Endpoint(**{**reached, "key": key, "limits": ExchangeLimits(**reached["limits"])})
    plan = LoadPlan(endpoint=endpoint, **given["plan"])
    return replace(plan, concurrencies=tuple(plan.concurrencies)), given["index"]


async def _work() -> bytes:
    reader = asyncio.StreamReader(limit=_LONGEST)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    plan, index = _unpack_plan(await reader.readline())
    starts: asyncio.Queue[float] = asyncio.Queue()
    measuring = asyncio.current_task()
    assert measuring is not None

    async def listen() -> None:
        while line := await reader.readline():
            starts.put_nowait(float(line))
        measuring.cancel()

    async def gate() -> float:
        print("ready", flush=True)
        return await starts.get()

    listening = asyncio.create_task(listen())
    try:
        return await encode_result(run(plan, Share(index, plan.workers, gate))) + b"\n"
    finally:
        listening.cancel()


async def encode_result(running: Awaitable[LoadRun]) -> bytes:
    """How a worker ended, for `measured`."""
    try:
        said = WorkerResult(run=await running)
    except UsageError as error:
        said = WorkerResult(misused=str(error))
    except Unavailable as error:
        said = WorkerResult(unavailable=(str(error), error.fix))
    return msgspec.json.encode(said)


if __name__ == "__main__":
    sys.stdout.buffer.write(asyncio.run(_work()))
