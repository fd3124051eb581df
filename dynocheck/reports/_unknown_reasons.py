"""Reasons why checks could not judge; one that several share is shown once."""

from collections import Counter
from typing import NamedTuple

from dynocheck.core.outcomes import Outcome, Report, Verdict
from dynocheck.reports._text import format_finding


class UnknownReason(NamedTuple):
    """Why a check could not judge, and how to fix it."""

    outcome: Outcome
    text: str
    fixes: tuple[str, ...]

    @property
    def what(self) -> str:
        return "could not look" if self.outcome is Outcome.UNKNOWN else "could not judge"


def find_reason(verdict: Verdict) -> UnknownReason | None:
    """The reason of a verdict that is unknown or an error; None for others."""
    if verdict.outcome not in (Outcome.UNKNOWN, Outcome.ERROR):
        return None
    text = "; ".join(format_finding(finding, verdict) for finding in verdict.findings) or verdict.message
    fixes = dict.fromkeys(finding.fix for finding in verdict.findings if finding.fix)
    return UnknownReason(verdict.outcome, text, tuple(fixes))


def count_shared(report: Report) -> dict[UnknownReason, int]:
    """The reasons that several checks share, with the number of checks."""
    reasons = Counter(find_reason(verdict) for verdict in report.verdicts)
    return {reason: count for reason, count in reasons.items() if reason and count > 1}
