"""Which facts are needed, look at them together (`dynocheck.gathering`), judge."""

import datetime
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dynocheck
from dynocheck.facts import Access, Fact, RequiredAccess
from dynocheck.gathering import Knowledge, Missing, Progress, crash, gather
from dynocheck.outcomes import Finding, Outcome, Report, Skip, Tool, Verdict, summarize, worst
from dynocheck.registry import Check, Probe

__all__ = ["Knowledge", "Levels", "Missing", "Plan", "Progress", "crash", "gather", "judge", "plan", "report"]

Levels = Mapping[str, Outcome]  # by check id: what its warnings and failures count as


@dataclass(frozen=True)
class Plan:
    """The checks that the sources at hand can serve, and the probes that those need."""

    checks: tuple[Check, ...]
    probes: tuple[Probe, ...]

    @property
    def access(self) -> tuple[Access, ...]:
        return tuple(sorted({access for probe in self.probes for access in probe.access}))


def plan(
    checks: Iterable[Check],
    probes: Iterable[Probe],
    sources: Iterable[type],
    known: Iterable[type[Fact]] = (),
) -> Plan:
    """What can be judged, and by which probes.

    :param sources: the types of source that this run has.
    :param known: facts that need no probe, because a recording or the configuration holds them.
    """
    given = {*sources, RequiredAccess, *known}
    able: dict[type[Fact], Probe] = {}
    while more := {  # each round finds the probes that look at what those of the rounds before give
        p.provides: p
        for p in probes
        if p.provides not in given and p.provides not in able and given.union(able) >= {*p.sources.values()}
    }:
        able |= more
    kept = tuple(
        check
        for check in checks
        if all(need.optional or need.fact in able or need.fact in given for need in check.needs)
    )
    wanted = {need.fact for check in kept for need in check.needs}
    for found in reversed(able.values()):
        wanted |= {*found.sources.values()} if found.provides in wanted else set()
    return Plan(kept, tuple(p for fact, p in able.items() if fact in wanted))


def judge(checks: Iterable[Check], knowledge: Knowledge, levels: Levels | None = None) -> tuple[Verdict, ...]:
    """Each check's verdict on what is known, in the order of the checks."""
    return tuple(_verdict(check, knowledge, (levels or {}).get(check.id)) for check in checks)


def report(
    command: str,
    target: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    started: float,
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
    )


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
        message = _message(check, findings, outcome)
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


def _arguments(check: Check, knowledge: Knowledge) -> tuple[dict[str, Fact | None], list[Finding]]:
    facts: dict[str, Fact | None] = {}
    lacking: dict[str, Finding] = {}
    for need in check.needs:
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


def _message(check: Check, findings: Sequence[Finding], outcome: Outcome) -> str:
    if not findings:
        return check.title
    deciding = [finding.message for finding in findings if finding.outcome is outcome]
    more = f" (and {len(deciding) - 1} more)" if len(deciding) > 1 else ""
    return deciding[0] + more
