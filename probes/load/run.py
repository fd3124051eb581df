"""How an endpoint bears a load, by putting it under one."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dynocheck import Unavailable, probe
from dynocheck.core.cancellation import Interruption
from dynocheck.facts import Address, Brim, LoadLimits, LoadRun, Readiness
from dynocheck.probes.endpoint._client import Target

if TYPE_CHECKING:
    from dynocheck.loadtest.plan import LoadPlan
    from dynocheck.loadtest.progress import Progress


@dataclass(frozen=True)
class UserLimits:
    """The limits that the user holds a load to, besides what a live graph says itself."""

    limits: LoadLimits


def measure_load(plan: "LoadPlan", progress: "Progress | None" = None) -> LoadRun:
    """What a load test measures; on Ctrl-C, in the main thread, what it has measured by then.

    :raises UsageError: the prompts cannot be read.
    :raises Unavailable: there is no model to ask, or a worker died.
    """
    import asyncio

    from dynocheck.loadtest.run import run
    from dynocheck.loadtest.workers import run_workers

    return asyncio.run(run(plan, progress=progress) if plan.workers == 1 else run_workers(plan, progress))


@probe()
def limits(promised: UserLimits, address: Address) -> LoadLimits:
    """The user's limits over those of the graph."""
    return promised.limits.with_defaults(address.limits)


@probe(limit=lambda target, address, readiness, **_: _make_small_plan(target, address, readiness).longest_s)
def load(
    target: Target, address: Address, readiness: Readiness, brim: Brim, interruption: Interruption
) -> LoadRun:
    """A small one, of an endpoint that is ready, after all that would disturb it."""
    if not readiness.ready:
        raise Unavailable(f"not asked, for it never became ready: {readiness.said}")
    return _measure_interruptibly(
        interruption, _make_small_plan(target, address, readiness), target.waiting.show
    )


def _measure_interruptibly(interruption: Interruption, plan: "LoadPlan", progress: "Progress") -> LoadRun:
    """What is measured on this thread, which hears of Ctrl-C by the interruption alone."""
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
    """The plan's own sizes, as far as the context has room for them."""
    from dynocheck.loadtest.plan import LoadPlan

    room = (readiness.context or 4096) // 8
    return LoadPlan(
        endpoint=replace(target.reach(address), limits=target.limits),
        model=readiness.model,
        input_tokens=min(128, room),
        output_tokens=min(64, room),
        seed=time.time_ns() % 1_000_000,  # no cache knows its prompts
        chat=readiness.chat,
        path=address.way,
    )
