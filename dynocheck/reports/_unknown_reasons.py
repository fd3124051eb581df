"""Why checks could not judge. Many may share one reason, which is then said once."""

from collections import Counter
from typing import NamedTuple

from dynocheck.core.outcomes import Outcome, Report, Verdict
from dynocheck.reports._text import statement


class Reason(NamedTuple):
    """What stood in the way, and what mends it."""

    outcome: Outcome
    said: str
    fixes: tuple[str, ...]

    @property
    def what(self) -> str:
        return "could not look" if self.outcome is Outcome.UNKNOWN else "could not judge"


def reason_of(verdict: Verdict) -> Reason | None:
    """Why it could not judge, if so."""
    if verdict.outcome not in (Outcome.UNKNOWN, Outcome.ERROR):
        return None
    said = "; ".join(statement(finding, verdict) for finding in verdict.findings) or verdict.message
    fixes = dict.fromkeys(finding.fix for finding in verdict.findings if finding.fix)
    return Reason(verdict.outcome, said, tuple(fixes))


def shared(report: Report) -> dict[Reason, int]:
    """The reasons of several checks, and of how many."""
    reasons = Counter(reason_of(verdict) for verdict in report.verdicts)
    return {reason: count for reason, count in reasons.items() if reason and count > 1}
