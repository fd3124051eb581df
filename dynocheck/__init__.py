"""dynocheck checks whether a cluster, recipe or deployment of NVIDIA Dynamo is fit to serve.

These names, and the facts in `dynocheck.facts`, are all that a custom check needs. They are imported when one
is asked for.
"""

from dynocheck._version import __version__

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from dynocheck._api import (
        Finding,
        Location,
        Mark,
        Panel,
        Result,
        Row,
        Series,
        Skip,
        Subject,
        Unavailable,
        anywhere,
        chart,
        check,
        fail,
        judged,
        mentions,
        probe,
        same_place,
        table,
        unjudged,
        unknown,
        warn,
    )

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
    from dynocheck import _api

    value: object = getattr(_api, name)
    globals()[name] = value
    return value
