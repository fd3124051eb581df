"""dynocheck: is this cluster, recipe or deployment of NVIDIA Dynamo fit to serve?

The names below are all that a check of your own needs, besides the facts it reads (`dynocheck.facts`).
"""

from dynocheck._version import __version__
from dynocheck.core.declarations import chart, check, probe, table
from dynocheck.core.outcomes import (
    Finding,
    Location,
    Mark,
    Panel,
    Row,
    Series,
    Skip,
    Subject,
    fail,
    unknown,
    warn,
)
from dynocheck.facts import Unavailable

__all__ = [
    "Finding",
    "Location",
    "Mark",
    "Panel",
    "Row",
    "Series",
    "Skip",
    "Subject",
    "Unavailable",
    "__version__",
    "chart",
    "check",
    "fail",
    "probe",
    "table",
    "unknown",
    "warn",
]
