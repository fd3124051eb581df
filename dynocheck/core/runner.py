"""Which facts are needed, look at them together (`dynocheck.core.probing`), judge."""

import datetime
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynocheck._version import __version__
from dynocheck.core.cancellation import Interruption
from dynocheck.core.outcomes import (
    Chart,
    Finding,
    Outcome,
    Report,
    Skip,
    Table,
    Tool,
    Verdict,
    count_outcomes,
    find_worst,
    summarize_findings,
)
from dynocheck.core.probing import Knowledge, MissingFact, Progress, describe_crash, gather
from dynocheck.core.registry import ChartMaker, Check, Declaration, Probe, TableMaker
from dynocheck.facts import Access, Fact, RequiredAccess

__all__ = [
    "Knowledge",
    "Levels",
    "MissingFact",
    "Plan",
    "Progress",
    "describe_crash",
    "gather",
]  # those of gathering too

MAX_FINDINGS = 1000  # findings of one check that are told one by one

Levels = Mapping[str, Outcome]  # by check id: what its warnings and failures count as


@dataclass(frozen=True)
class Plan:
    """The checks that the sources at hand can serve, the probes that those need, and the tables and charts
    that come with what those learn: no probe looks for the sake of a table.
    """

    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]
    tables: tuple[TableMaker | ChartMaker, ...] = ()

    @property
    def access(self) -> tuple[Access, ...]:
        return tuple(sorted({access for probe in self.probes for access in probe.access}))


def plan(
    checks: Iterable[Check],
    probes: Iterable[Probe],
    sources: Iterable[type],
    known: Iterable[type[Fact]] = (),
    tables: Iterable[TableMaker | ChartMaker] = (),
) -> Plan:
    """What can be judged, and by which probes.

    :param sources: the types of source that this run has.
    :param known: facts that need no probe, because a recording or the configuration holds them.
    """
    given = {*sources, RequiredAccess, Interruption, *known}
    able = _find_runnable(probes, given)
    kept = tuple(check for check in checks if _has_facts(check, {*able, *given}))
    wanted = {need.fact for check in kept for need in check.needs}
    for found in reversed(able.values()):
        wanted |= {*found.sources.values()} if found.provides in wanted else set()
    return Plan(
        checks=kept,
        probes=tuple(p for fact, p in able.items() if fact in wanted),
        tables=tuple(table for table in tables if _has_facts(table, (wanted & {*able}) | given)),
    )


def _find_runnable(probes: Iterable[Probe], given: set[type]) -> dict[type[Fact], Probe]:
    """The probes that have all they look at, by their facts; who gives a fact before who looks at it."""
    able: dict[type[Fact], Probe] = {}
    left = {p.provides: p for p in probes if p.provides not in given}
    while more := {fact: p for fact, p in left.items() if given.union(able).issuperset(p.sources.values())}:
        able |= more
        left = {fact: p for fact, p in left.items() if fact not in able}
    return able


def _has_facts(reader: Declaration, facts: set[type]) -> bool:
    return all(need.optional or need.fact in facts for need in reader.needs)


def judge(checks: Iterable[Check], knowledge: Knowledge, levels: Levels | None = None) -> tuple[Verdict, ...]:
    """Each check's verdict on what is known, in the order of the checks."""
    return tuple(_judge_check(check, knowledge, (levels or {}).get(check.id)) for check in checks)


def tabulate(tables: Iterable[TableMaker | ChartMaker], knowledge: Knowledge) -> tuple[Table | Chart, ...]:
    """The tables that have rows and the charts that have panels, or a note on why one has none. One whose
    facts could not be had is left out: the checks that need them say why.
    """
    made = (_build_output(table, knowledge) for table in tables)
    return tuple(each for each in made if each is not None)


def build_report(
    command: str,
    target: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    started: float,
    shown: Sequence[Table | Chart] = (),
) -> Report:
    """The report of a run that started at this time of `time.time()`."""
    began = datetime.datetime.fromtimestamp(started, datetime.UTC)
    return Report(
        tool=Tool("dynocheck", __version__),
        command=command,
        started=began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        duration_s=round(time.time() - started, 6),
        target=dict(target),
        summary=count_outcomes(verdicts),
        verdicts=tuple(verdicts),
        tables=tuple(each for each in shown if isinstance(each, Table)),
        charts=tuple(each for each in shown if isinstance(each, Chart)),
    )


def _build_output(maker: TableMaker | ChartMaker, knowledge: Knowledge) -> Table | Chart | None:
    facts, lacking = _collect_arguments(maker, knowledge)
    if lacking:
        return None
    try:
        return _build_chart(maker, facts) if isinstance(maker, ChartMaker) else _build_table(maker, facts)
    except Exception as error:
        return Table(id=maker.id, title=maker.title, note=describe_crash(error))


def _build_chart(chart: ChartMaker, facts: Mapping[str, Any]) -> Chart | None:
    panels = tuple(chart(**facts) or ())
    if not panels:
        return None
    return Chart(id=chart.id, title=chart.title, kind=chart.kind, panels=panels, note=chart.note)


def _build_table(table: TableMaker, facts: Mapping[str, Any]) -> Table | None:
    rows = [dict(row) for row in table(**facts) or ()]
    known = dict.fromkeys(column for row in rows for column in row)
    columns = tuple(c for c in known if any(row.get(c) not in (None, "", ()) for row in rows))
    if not columns:
        return None
    cells = tuple(tuple(row.get(column) for column in columns) for row in rows)
    return Table(id=table.id, title=table.title, columns=columns, rows=cells, note=table.note)


def _judge_check(check: Check, knowledge: Knowledge, level: Outcome | None) -> Verdict:
    start = time.perf_counter()
    findings: list[Finding] = []
    skipped: str | None = None
    facts, lacking = _collect_arguments(check, knowledge)
    if lacking:
        findings = list(lacking)
    else:
        try:
            findings.extend(_apply_level(finding, level) for finding in check(**facts) or ())
        except Skip as skip:
            skipped = str(skip)
        except Exception as error:
            findings.append(Finding(outcome=Outcome.ERROR, message=describe_crash(error), fix=_REPORT_IT))
    if skipped is not None and not findings:
        outcome, message = Outcome.SKIP, skipped
    else:
        outcome = find_worst(finding.outcome for finding in findings)
        message = summarize_findings(findings, outcome) if findings else check.title
    findings = _limit_findings(findings)
    return Verdict(
        check=check.id,
        title=check.title,
        area=check.area,
        outcome=outcome,
        message=message,
        duration_s=round(time.perf_counter() - start, 6),
        findings=tuple(findings),
    )


def _limit_findings(findings: list[Finding]) -> list[Finding]:
    """The findings up to MOST, the worst first where there are more, and the others counted by outcome."""
    if len(findings) <= MAX_FINDINGS:
        return findings
    findings = sorted(findings, key=lambda finding: -finding.outcome.severity)
    others = Counter(finding.outcome for finding in findings[MAX_FINDINGS:])
    counted = [Finding(outcome=outcome, message=f"and {n} more like these") for outcome, n in others.items()]
    return findings[:MAX_FINDINGS] + counted


_REPORT_IT = "this is a fault of the check itself: report it with the message above"


def _collect_arguments(
    reader: Declaration, knowledge: Knowledge
) -> tuple[dict[str, Fact | None], list[Finding]]:
    facts: dict[str, Fact | None] = {}
    lacking: dict[str, Finding] = {}
    for need in reader.needs:
        missing = knowledge.missing.get(need.fact)
        if missing is not None:
            outcome = Outcome.ERROR if missing.crashed else Outcome.UNKNOWN
            lacking[missing.reason] = Finding(outcome=outcome, message=missing.reason, fix=missing.fix)
        facts[need.parameter] = knowledge.facts.get(need.fact)
    return facts, list(lacking.values())


def _apply_level(finding: Finding, level: Outcome | None) -> Finding:
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
