"""What `dynocheck` exports for custom checks."""

from dynocheck.core.declarations import chart, check, probe, table
from dynocheck.core.explanations import anywhere, mentions, same_place
from dynocheck.core.outcomes import (
    Finding,
    Location,
    Mark,
    Panel,
    Result,
    Row,
    Series,
    Skip,
    Subject,
    fail,
    judged,
    unjudged,
    unknown,
    warn,
)
from dynocheck.facts import Unavailable

__all__ = [
    "Finding",
    "Location",
    "Mark",
    "Panel",
    "Result",
    "Row",
    "Series",
    "Skip",
    "Subject",
    "Unavailable",
    "anywhere",
    "chart",
    "check",
    "fail",
    "judged",
    "mentions",
    "probe",
    "same_place",
    "table",
    "unjudged",
    "unknown",
    "warn",
]
