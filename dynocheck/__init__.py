"""dynocheck checks whether a cluster, recipe or deployment of NVIDIA Dynamo is fit to serve.

These names, and the facts in `dynocheck.facts`, are all that a custom check needs. They are imported when one
is asked for.
"""

from dynocheck._version import __version__

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dynocheck import facts
    from dynocheck.core import declarations, explanations, outcomes

    module = next(each for each in (declarations, explanations, outcomes, facts) if hasattr(each, name))
    value: object = getattr(module, name)
    globals()[name] = value
    return value
