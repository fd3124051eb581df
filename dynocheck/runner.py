"""Which facts are needed, look at them together, judge."""

import datetime
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dynocheck
from dynocheck.errors import UsageError
from dynocheck.facts import Access, Fact, RequiredAccess, Unavailable
from dynocheck.outcomes import (
    Finding,
    Outcome,
    Report,
    Skip,
    Table,
    Tool,
    Verdict,
    deciding,
    summarize,
    worst,
)
from dynocheck.registry import Check, Probe, Reader, TableMaker

Progress = Callable[[Sequence[str]], None]  # the names of the probes still looking
Levels = Mapping[str, Outcome]  # by check id: what its warnings and failures count as

_TICK_S = 0.1
_GRACE_S = 0.5  # a probe that keeps to the limit itself says better what was late


@dataclass(frozen=True)
class Missing:
    """Why a fact cannot be had. `crashed` tells our own fault from the world's."""

    reason: str
    fix: str | None = None
    crashed: bool = False


@dataclass
class Knowledge:
    """The facts of a run, had and not had."""

    facts: dict[type[Fact], Fact] = field(default_factory=dict)
    missing: dict[type[Fact], Missing] = field(default_factory=dict)
    interrupted: bool = False

    def __contains__(self, fact: type[Fact]) -> bool:
        return fact in self.facts or fact in self.missing


@dataclass(frozen=True)
class Plan:
    """The checks that the sources at hand can serve, the probes that those need, and the tables that come
    with what those learn: no probe looks for the sake of a table.
    """

    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]
    tables: tuple[TableMaker, ...] = ()

    @property
    def access(self) -> tuple[Access, ...]:
        return tuple(sorted({access for probe in self.probes for access in probe.access}))


def plan(
    checks: Iterable[Check],
    probes: Iterable[Probe],
    sources: Iterable[type],
    known: Iterable[type[Fact]] = (),
    tables: Iterable[TableMaker] = (),
) -> Plan:
    """What can be judged, and by which probes.

    :param sources: the types of source that this run has.
    :param known: facts that need no probe, because a recording or the configuration holds them.
    """
    have, given = {*sources, RequiredAccess}, set(known)
    able = {p.provides: p for p in probes if set(p.sources.values()) <= have and p.provides not in given}
    kept = tuple(check for check in checks if _served(check, {*able, *given}))
    wanted = {need.fact for check in kept for need in check.needs}
    return Plan(
        checks=kept,
        probes=tuple(p for fact, p in able.items() if fact in wanted),
        tables=tuple(table for table in tables if _served(table, (wanted & {*able}) | given)),
    )


def _served(reader: Reader, facts: set[type[Fact]]) -> bool:
    return all(need.optional or need.fact in facts for need in reader.needs)


def gather(
    probes: Sequence[Probe],
    sources: Mapping[type, Any],
    *,
    timeout_s: float,
    progress: Progress | None = None,
) -> Knowledge:
    """Run the probes side by side, each once.

    :param timeout_s: seconds that each may take; a fact that comes later is missing.
    :param progress: called about ten times a second with the probes still looking.
    :return: what was learnt, also when the user interrupts.
    :raises UsageError: a probe found that what the user named cannot be used.
    """
    knowledge = Knowledge()
    looks = [_Look(p, sources) for p in probes]
    deadline = time.monotonic() + timeout_s + _GRACE_S
    try:
        for look in looks:
            look.thread.start()
        while waiting := [look for look in looks if look.thread.is_alive()]:
            if time.monotonic() > deadline:
                break
            if progress is not None:
                progress([look.probe.name for look in waiting])
            waiting[0].thread.join(_TICK_S)
    except KeyboardInterrupt:
        knowledge.interrupted = True
    late = "interrupted" if knowledge.interrupted else f"no answer within {timeout_s:g} s"
    for look in looks:
        if look.misused is not None:
            raise look.misused
        match look.result:
            case None:
                knowledge.missing[look.probe.provides] = Missing(f"{look.probe.name}: {late}")
            case Missing() as missing:
                knowledge.missing[look.probe.provides] = missing
            case fact:
                knowledge.facts[look.probe.provides] = fact
    return knowledge


class _Look:
    """A probe on a thread of its own, which a stuck server may keep: it never holds the run."""

    def __init__(self, probe: Probe, sources: Mapping[type, Any]) -> None:
        self.probe = probe
        self.sources = sources
        self.result: Fact | Missing | None = None
        self.misused: UsageError | None = None
        self.thread = threading.Thread(target=self._run, name=probe.name, daemon=True)

    def _run(self) -> None:
        try:
            taken = {name: self.sources[kind] for name, kind in self.probe.sources.items()}
            self.result = self.probe(**taken)
        except UsageError as error:
            self.misused = error
        except Unavailable as unavailable:
            self.result = Missing(str(unavailable), unavailable.fix)
        except Exception as error:
            self.result = Missing(f"probe {self.probe.name}: {crash(error)}", crashed=True)


def judge(checks: Iterable[Check], knowledge: Knowledge, levels: Levels | None = None) -> tuple[Verdict, ...]:
    """Each check's verdict on what is known, in the order of the checks."""
    return tuple(_verdict(check, knowledge, (levels or {}).get(check.id)) for check in checks)


def tabulate(tables: Iterable[TableMaker], knowledge: Knowledge) -> tuple[Table, ...]:
    """The tables that have rows, or a note on why one has none. One whose facts could not be had is left
    out: the checks that need them say why.
    """
    made = (_table(table, knowledge) for table in tables)
    return tuple(table for table in made if table is not None)


def report(
    command: str,
    target: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    started: float,
    tables: Sequence[Table] = (),
) -> Report:
    """The report of a run that started at this time of `time.time()`."""
    began = datetime.datetime.fromtimestamp(started, datetime.UTC)
    return Report(
        tool=Tool("dynocheck", dynocheck.__version__),
        command=command,
        started=began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        duration_s=round(time.time() - started, 6),
        target=dict(target),
        summary=summarize(verdicts),
        verdicts=tuple(verdicts),
        tables=tuple(tables),
    )


def _table(table: TableMaker, knowledge: Knowledge) -> Table | None:
    facts, lacking = _arguments(table, knowledge)
    if lacking:
        return None
    try:
        rows = [dict(row) for row in table(**facts) or ()]
    except Exception as error:
        return Table(id=table.id, title=table.title, note=crash(error))
    known = dict.fromkeys(column for row in rows for column in row)
    columns = tuple(c for c in known if any(row.get(c) not in (None, "", ()) for row in rows))
    if not columns:
        return None
    cells = tuple(tuple(row.get(column) for column in columns) for row in rows)
    return Table(id=table.id, title=table.title, columns=columns, rows=cells, note=table.note)


def _verdict(check: Check, knowledge: Knowledge, level: Outcome | None) -> Verdict:
    start = time.perf_counter()
    findings: list[Finding] = []
    skipped: str | None = None
    facts, lacking = _arguments(check, knowledge)
    if lacking:
        findings = list(lacking)
    else:
        try:
            findings.extend(_leveled(finding, level) for finding in check(**facts) or ())
        except Skip as skip:
            skipped = str(skip)
        except Exception as error:
            findings.append(Finding(outcome=Outcome.ERROR, message=crash(error), fix=_REPORT_IT))
    if skipped is not None and not findings:
        outcome, message = Outcome.SKIP, skipped
    else:
        outcome = worst(finding.outcome for finding in findings)
        message = deciding(findings, outcome) if findings else check.title
    return Verdict(
        check=check.id,
        title=check.title,
        area=check.area,
        outcome=outcome,
        message=message,
        duration_s=round(time.perf_counter() - start, 6),
        findings=tuple(findings),
    )


_REPORT_IT = "this is a fault of the check itself: report it with the message above"


def _arguments(reader: Reader, knowledge: Knowledge) -> tuple[dict[str, Fact | None], list[Finding]]:
    facts: dict[str, Fact | None] = {}
    lacking: dict[str, Finding] = {}
    for need in reader.needs:
        missing = knowledge.missing.get(need.fact)
        if missing is not None:
            outcome = Outcome.ERROR if missing.crashed else Outcome.UNKNOWN
            lacking[missing.reason] = Finding(outcome=outcome, message=missing.reason, fix=missing.fix)
        facts[need.parameter] = knowledge.facts.get(need.fact)
    return facts, list(lacking.values())


def _leveled(finding: Finding, level: Outcome | None) -> Finding:
    if level is None or finding.outcome not in (Outcome.WARN, Outcome.FAIL):
        return finding
    return Finding(
        outcome=level,
        message=finding.message,
        fix=finding.fix,
        evidence=finding.evidence,
        subject=finding.subject,
        location=finding.location,
    )


def crash(error: Exception) -> str:
    """One line that a maintainer can act on. The exception's own text stays out: it may hold a secret."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"crashed: {type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
