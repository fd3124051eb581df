"""Runs a load test in several processes, for loads that one event loop cannot generate.

A worker is `python -m dynocheck.loadtest.workers`. It reads its share of the plan from a line of standard
input, prints `ready` after each warm-up, starts at the time on the next input line, and finally prints its
result. If its input ends, it stops and prints what it has measured so far.
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

_AHEAD_S = 0.05  # between announcement and start: enough for every worker to read it
_LAST_S = 10.0  # for a stopped worker to print its result
_LONGEST = 1 << 30
_READY = b"ready\n"


class WorkerResult(msgspec.Struct):
    """A worker's result: a run, or the UsageError or Unavailable that it raised."""

    run: LoadRun | None = None
    unavailable: tuple[str, str | None] | None = None
    misused: str | None = None


async def run_workers(plan: LoadPlan, progress: Progress | None = None) -> LoadRun:
    """Run a load test in plan.workers processes, and merge their results.

    :raises UsageError: the prompts cannot be read.
    :raises Unavailable: there is no model to use, or a worker died.
    """
    workers = [await _start_worker(plan, index) for index in range(plan.workers)]
    results: dict[Process, bytes] = {}
    try:
        async with report_progress(progress or (lambda _: None), lambda: f"{plan.workers} workers"):
            await _conduct(workers, results)
    except asyncio.CancelledError:
        await _stop([worker for worker in workers if worker not in results], results)
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    finally:
        for worker in workers:
            if worker.returncode is None:
                with suppress(ProcessLookupError):
                    worker.kill()
            await worker.wait()
    return merge_runs([decode_result(results.get(worker, b"")) for worker in workers])


async def _start_worker(plan: LoadPlan, index: int) -> Process:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "dynocheck.loadtest.workers"),
        stdin=PIPE,
        stdout=PIPE,
        limit=_LONGEST,
        start_new_session=True,  # so that only this process gets Ctrl-C
    )
    assert worker.stdin is not None
    worker.stdin.write(_pack_plan(plan, index) + b"\n")
    return worker


async def _conduct(workers: Sequence[Process], results: dict[Process, bytes]) -> None:
    """Start the workers whenever all that still run are ready, until each has ended."""
    while left := [worker for worker in workers if worker not in results]:
        lines = await asyncio.gather(*(_read_line(worker) for worker in left))
        start = f"{perf_counter() + _AHEAD_S!r}\n".encode()
        for worker, line in zip(left, lines, strict=True):
            if line == _READY:
                assert worker.stdin is not None
                worker.stdin.write(start)
            else:
                results[worker] = line


async def _read_line(worker: Process) -> bytes:
    assert worker.stdout is not None
    return await worker.stdout.readline()


async def _stop(workers: Sequence[Process], results: dict[Process, bytes]) -> None:
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_S):
            for worker in workers:
                while (line := await _read_line(worker)) == _READY:
                    pass
                results[worker] = line


def decode_result(line: bytes) -> LoadRun:
    """The run in a worker's last line of output.

    :raises UsageError: the prompts could not be read.
    :raises Unavailable: the worker measured nothing, or died.
    """
    try:
        result = msgspec.json.decode(line, type=WorkerResult)
    except msgspec.DecodeError:
        raise Unavailable("a load test worker died") from None
    if result.misused is not None:
        raise UsageError(result.misused)
    if result.run is None:
        reason, fix = result.unavailable or ("a load test worker measured nothing", None)
        raise Unavailable(reason, fix=fix)
    return result.run


def _pack_plan(plan: LoadPlan, index: int) -> bytes:
    """The plan as JSON, including the key, which is only sent through the pipe to the worker."""
    endpoint = plan.endpoint
    fields = {name: value for name, value in vars(plan).items() if name != "endpoint"}
    target = {
        "url": endpoint.url,
        "key": endpoint.key.reveal() if endpoint.key else None,
        "headers": dict(endpoint.headers),
        "ca_file": endpoint.ca_file,
        "insecure": endpoint.insecure,
        "limits": asdict(endpoint.limits),
    }
    return msgspec.json.encode({"index": index, "plan": fields, "endpoint": target})


def _unpack_plan(line: bytes) -> tuple[LoadPlan, int]:
    data: dict[str, Any] = msgspec.json.decode(line)
    target = data["endpoint"]
    key = SecretValue(target["key"]) if target["key"] else None
    endpoint = Endpoint(**{**target, "key": key, "limits": ExchangeLimits(**target["limits"])})
    plan = LoadPlan(endpoint=endpoint, **data["plan"])
    return replace(plan, concurrencies=tuple(plan.concurrencies)), data["index"]


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
    """A worker's result as JSON, for `decode_result`."""
    try:
        result = WorkerResult(run=await running)
    except UsageError as error:
        result = WorkerResult(misused=str(error))
    except Unavailable as error:
        result = WorkerResult(unavailable=(str(error), error.fix))
    return msgspec.json.encode(result)


if __name__ == "__main__":
    sys.stdout.buffer.write(asyncio.run(_work()))
