"""dynocheck checks whether a cluster, recipe or deployment of NVIDIA Dynamo is fit to serve.

These names, and the facts in `dynocheck.facts`, are all that a custom check needs.
"""

from dynocheck._version import __version__
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
    "__version__",
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
