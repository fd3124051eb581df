"""Reports the progress of a load test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_EVERY_S = 0.2
Progress = Callable[[str], None]
"""Called with what a load test is waiting for."""


@asynccontextmanager
async def report_progress(progress: Progress, describe: Callable[[], str]) -> AsyncIterator[None]:
    """Report what is being waited for, every _EVERY_S seconds inside the block."""

    async def report() -> None:
        while True:
            progress(describe())
            await asyncio.sleep(_EVERY_S)

    task = asyncio.create_task(report())
    try:
        yield
    finally:
        task.cancel()
