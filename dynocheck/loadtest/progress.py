"""Says, while a load test waits, what it waits for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_EVERY_S = 0.2
Progress = Callable[[str], None]


@asynccontextmanager
async def report_progress(progress: Progress, doing: Callable[[], str]) -> AsyncIterator[None]:
    """Tell now and then, inside the block, what is being done."""

    async def tell() -> None:
        while True:
            progress(doing())
            await asyncio.sleep(_EVERY_S)

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
