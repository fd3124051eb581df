"""Limits as people write them: `ttft.p95=500ms`, `error_rate=1%`, `output_tokens_per_s=1000`."""

import math
import re

from dynocheck.errors import UsageError
from dynocheck.facts.load import Limit
from dynocheck.facts.load_metrics import ERROR_RATE, LATENCIES, RATES

_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "%": 0.01}
_BOUND = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|%)?")
_STAT = re.compile(r"mean|max|p\d{1,2}(\.\d{1,3})?")


def parsed(text: str) -> Limit:
    """The limit that a text means.

    :raises UsageError: it means none.
    """
    name, equals, bound = text.partition("=")
    metric, dot, stat = name.strip().partition(".")
    matched = _BOUND.fullmatch(bound.strip())
    if not equals or matched is None:
        raise UsageError(f"--limit {text}: not of the form ttft.p95=500ms or error_rate=1%")
    value, unit = float(matched[1]), matched[2] or ""
    if metric in LATENCIES:
        _must(
            text,
            bool(_STAT.fullmatch(stat)) and stat not in ("p0", "p00"),
            "a mean, max or p and a percentage",
        )
        _must(text, unit in ("s", "ms", "us"), "a time with its unit: s, ms or us")
    elif metric == ERROR_RATE:
        _must(text, not dot and unit in ("", "%") and value * _UNITS[unit] <= 1, "a share, such as 0 or 1%")
    elif metric in RATES:
        _must(text, not dot and not unit, "a number a second, without a unit")
    else:
        known = ", ".join((*(f"{each}.p95" for each in LATENCIES), ERROR_RATE, *RATES))
        raise UsageError(f"--limit {text}: no such metric; there are {known}")
    return Limit(metric, stat or None, _exact(value * _UNITS[unit]), text)


def _must(text: str, holds: bool, wanted: str) -> None:
    if not holds:
        raise UsageError(f"--limit {text}: it takes {wanted}")


def _exact(value: float) -> float:
    return round(value, 9) if math.isfinite(value) else value
