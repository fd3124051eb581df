"""Findings that do not count, and what is left of a verdict without them."""

from collections.abc import Callable, Iterable

import msgspec

from dynocheck.core.outcomes import (
    Finding,
    Outcome,
    SuppressedFinding,
    Verdict,
    describe_suppressed,
    find_worst,
    summarize_findings,
)

Suppressor = Callable[
    [Verdict, Finding], SuppressedFinding | None
]  # why a finding of a verdict does not count

_SUPPRESSIBLE = (Outcome.WARN, Outcome.FAIL)  # what could not be looked at stays unknown


def apply_suppression(verdicts: Iterable[Verdict], why: Suppressor) -> tuple[Verdict, ...]:
    """The verdicts on what counts, with what does not put aside."""
    return tuple(_suppress_findings(verdict, why) for verdict in verdicts)


def _suppress_findings(verdict: Verdict, why: Suppressor) -> Verdict:
    kept: list[Finding] = []
    aside = list(verdict.suppressed)
    for finding in verdict.findings:
        found = why(verdict, finding) if finding.outcome in _SUPPRESSIBLE else None
        if found is None:
            kept.append(finding)
        else:
            aside.append(found)
    if len(kept) == len(verdict.findings):
        return verdict
    outcome = find_worst(finding.outcome for finding in kept) if kept else Outcome.SKIP
    return msgspec.structs.replace(
        verdict,
        outcome=outcome,
        message=summarize_findings(kept, outcome) if kept else "; ".join(describe_suppressed(aside)),
        findings=tuple(kept),
        suppressed=tuple(aside),
    )
