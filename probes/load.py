"""How an endpoint bears a load, by putting it under one."""

import asyncio

from dynocheck import probe
from dynocheck.facts.load import LoadRun
from dynocheck.loading.plan import LoadPlan
from dynocheck.loading.run import run
from dynocheck.loading.workers import spread


@probe()
def load(plan: LoadPlan) -> LoadRun:
    """Every request of it is real: this is the one probe that costs its server something."""
    return asyncio.run(run(plan) if plan.workers == 1 else spread(plan))
