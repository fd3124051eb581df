"""Runs a load test of an endpoint."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dynocheck import probe
from dynocheck.core.cancellation import Interruption
from dynocheck.facts import Address, Brim, LoadLimits, LoadRun, Readiness
from dynocheck.probes.endpoint._client import Target

if TYPE_CHECKING:
    from dynocheck.loadtest.plan import LoadPlan
    from dynocheck.loadtest.progress import Progress


@dataclass(frozen=True)
class UserLimits:
    """The service-level objectives that the user sets; a live graph may have its own."""

    limits: LoadLimits


def measure_load(plan: "LoadPlan", progress: "Progress | None" = None) -> LoadRun:
    """Run a load test; on Ctrl-C in the main thread, return what has been measured so far.

    :raises UsageError: the prompts cannot be read.
    :raises Unavailable: there is no model to use, or a worker died.
    """
    import asyncio

    from dynocheck.loadtest.run import run
    from dynocheck.loadtest.workers import run_workers

    return asyncio.run(run(plan, progress=progress) if plan.workers == 1 else run_workers(plan, progress))


@probe()
def limits(user: UserLimits, address: Address) -> LoadLimits:
    """The user's limits, and those of the graph for metrics that the user does not limit."""
    return user.limits.with_defaults(address.limits)


@probe(limit=lambda target, address, readiness, **_: _make_small_plan(target, address, readiness).longest_s)
def load(
    target: Target, address: Address, readiness: Readiness, brim: Brim, interruption: Interruption
) -> LoadRun:
    """Runs a small load test of a ready endpoint, after the other probes that send requests."""
    readiness.require()
    return _measure_interruptibly(
        interruption, _make_small_plan(target, address, readiness), target.waiting.show
    )


def _measure_interruptibly(interruption: Interruption, plan: "LoadPlan", progress: "Progress") -> LoadRun:
    """Run a load test on this thread, to which only `interruption` reports Ctrl-C."""
    import asyncio

    from dynocheck.loadtest.run import run

    async def interruptible() -> LoadRun:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(task.cancel)

        with interruption.on_interrupt(stop):
            return await run(plan, progress=progress)

    return asyncio.run(interruptible())


def _make_small_plan(target: Target, address: Address, readiness: Readiness) -> "LoadPlan":
    """A plan of the default size, or smaller if the model's context is."""
    from dynocheck.loadtest.plan import LoadPlan

    room = (readiness.context or 4096) // 8
    return LoadPlan(
        endpoint=replace(target.reach(address), limits=target.limits),
        model=readiness.model,
        input_tokens=min(128, room),
        output_tokens=min(64, room),
        seed=time.time_ns() % 1_000_000,  # a new seed, so that no prompt is cached
        chat=readiness.chat,
        path=address.way,
    )
