"""How an endpoint bears a load, by putting it under one."""

import asyncio

from dynocheck import probe
from dynocheck.facts.load import LoadRun
from dynocheck.loading.plan import LoadPlan
from dynocheck.loading.run import Progress, run
from dynocheck.loading.workers import spread


def measured(plan: LoadPlan, progress: Progress | None = None) -> LoadRun:
    """What a load test measures; on Ctrl-C, in the main thread, what it has measured by then.

    :raises UsageError: the prompts cannot be read.
    :raises Unavailable: there is no model to ask, or a worker died.
    """
    return asyncio.run(run(plan, progress=progress) if plan.workers == 1 else spread(plan, progress))


@probe(limit=lambda plan: plan.longest_s)
def load(plan: LoadPlan) -> LoadRun:
    """Every request of it is real: this is the one probe that costs its server something."""
    return measured(plan)
