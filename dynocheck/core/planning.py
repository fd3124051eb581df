"""Chooses the checks that a run can judge, and the probes that those need."""

from collections.abc import Iterable
from dataclasses import dataclass

from dynocheck.core.cancellation import Interruption
from dynocheck.core.declarations import ChartMaker, Check, Declaration, Probe, TableMaker
from dynocheck.facts import Access, Fact, RequiredAccess


@dataclass(frozen=True)
class Plan:
    """The checks that the sources can serve and the probes that those need.

    Tables and charts are planned only when the probes of the checks provide their facts: no probe runs for a
    table alone.
    """

    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]
    tables: tuple[TableMaker | ChartMaker, ...] = ()

    @property
    def access(self) -> tuple[Access, ...]:
        """The rights in the cluster that the probes need."""
        return tuple(sorted({access for probe in self.probes for access in probe.access}))


def plan(
    checks: Iterable[Check],
    probes: Iterable[Probe],
    sources: Iterable[type],
    known: Iterable[type[Fact]] = (),
    tables: Iterable[TableMaker | ChartMaker] = (),
) -> Plan:
    """Plan a run.

    :param sources: the types of source that this run has.
    :param known: facts that need no probe, because a snapshot or the configuration holds them.
    """
    available = {*sources, RequiredAccess, Interruption, *known}
    runnable = _find_runnable(probes, available)
    kept = tuple(check for check in checks if _has_facts(check, {*runnable, *available}))
    needed = {need.fact for check in kept for need in check.needs}
    for probe in reversed(runnable.values()):
        needed |= {*probe.sources.values()} if probe.provides in needed else set()
    return Plan(
        checks=kept,
        probes=tuple(probe for fact, probe in runnable.items() if fact in needed),
        tables=tuple(table for table in tables if _has_facts(table, (needed & {*runnable}) | available)),
    )


def _find_runnable(probes: Iterable[Probe], available: set[type]) -> dict[type[Fact], Probe]:
    """The probes whose sources are available, by fact; a probe stands after those whose facts it takes."""
    runnable: dict[type[Fact], Probe] = {}
    left = {probe.provides: probe for probe in probes if probe.provides not in available}
    while ready := {
        fact: probe
        for fact, probe in left.items()
        if available.union(runnable).issuperset(probe.sources.values())
    }:
        runnable |= ready
        left = {fact: probe for fact, probe in left.items() if fact not in runnable}
    return runnable


def _has_facts(reader: Declaration, facts: set[type]) -> bool:
    return all(need.optional or need.fact in facts for need in reader.needs)
