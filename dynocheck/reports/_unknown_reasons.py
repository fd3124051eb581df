"""Why checks could not judge. Many may share one reason, which is then said once."""

from collections import Counter
from typing import NamedTuple

from dynocheck.core.outcomes import Outcome, Report, Verdict
from dynocheck.reports._text import format_finding


class UnknownReason(NamedTuple):
    """What stood in the way, and what mends it."""

    outcome: Outcome
    said: str
    fixes: tuple[str, ...]

    @property
    def what(self) -> str:
        return "could not look" if self.outcome is Outcome.UNKNOWN else "could not judge"


def find_reason(verdict: Verdict) -> UnknownReason | None:
    """Why it could not judge, if so."""
    if verdict.outcome not in (Outcome.UNKNOWN, Outcome.ERROR):
        return None
    said = "; ".join(format_finding(finding, verdict) for finding in verdict.findings) or verdict.message
    fixes = dict.fromkeys(finding.fix for finding in verdict.findings if finding.fix)
    return UnknownReason(verdict.outcome, said, tuple(fixes))


def count_shared(report: Report) -> dict[UnknownReason, int]:
    """The reasons of several checks, and of how many."""
    reasons = Counter(find_reason(verdict) for verdict in report.verdicts)
    return {reason: count for reason, count in reasons.items() if reason and count > 1}
