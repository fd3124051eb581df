"""Findings that do not count, and what is left of a verdict without them."""

from collections.abc import Callable, Iterable

import msgspec

from dynocheck.core.outcomes import Finding, Outcome, Suppressed, Verdict, counted, deciding, worst

Why = Callable[[Verdict, Finding], Suppressed | None]  # why a finding of a verdict does not count

_SUPPRESSIBLE = (Outcome.WARN, Outcome.FAIL)  # what could not be looked at stays unknown


def without(verdicts: Iterable[Verdict], why: Why) -> tuple[Verdict, ...]:
    """The verdicts on what counts, with what does not put aside."""
    return tuple(_without(verdict, why) for verdict in verdicts)


def _without(verdict: Verdict, why: Why) -> Verdict:
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
    outcome = worst(finding.outcome for finding in kept) if kept else Outcome.SKIP
    return msgspec.structs.replace(
        verdict,
        outcome=outcome,
        message=deciding(kept, outcome) if kept else "; ".join(counted(aside)),
        findings=tuple(kept),
        suppressed=tuple(aside),
    )
