"""Parses service-level objectives: `ttft.p95=500ms`, `error_rate=1%`, `output_tokens_per_s=1000`.

They come from the command line, a site's configuration file, and an annotation of the DynamoGraphDeployment
in a recipe, separated there by commas or white space.
"""

import math
import re
from collections.abc import Iterable

from dynocheck.facts.load.run import ERROR_RATE, LATENCIES, RATES, InvalidLimit, LoadLimit, LoadLimits

LIMITS_ANNOTATION = "dynocheck.dev/limits"

_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "%": 0.01}
_BOUND = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|s|%)?")
_PERCENTILE = re.compile(r"p[0-9]{1,2}(\.[0-9]{1,3})?")
_LONGEST = 60


def parse_annotation(text: str, source: str) -> LoadLimits:
    """The limits in an annotation."""
    joined = "=".join(part.strip() for part in text.split("="))
    return parse_limits(filter(None, re.split(r"[\s,]", joined)), source)


def parse_limits(texts: Iterable[str], source: str) -> LoadLimits:
    """Parse limits; invalid ones are collected in `misread`.

    :param source: where they come from, for messages.
    """
    limits = [_try_parse(text, source) for text in texts]
    return LoadLimits(
        tuple(limit for limit in limits if isinstance(limit, LoadLimit)),
        tuple(limit for limit in limits if isinstance(limit, InvalidLimit)),
    )


def _try_parse(text: str, source: str) -> LoadLimit | InvalidLimit:
    try:
        return _parse_limit(text, source)
    except ValueError as error:
        shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
        return InvalidLimit(shown, str(error), source)


def _parse_limit(text: str, source: str) -> LoadLimit:
    """Parse a limit.

    :raises ValueError: it is invalid; the message is the reason.
    """
    name, equals, bound = text.partition("=")
    metric, dot, stat = name.strip().partition(".")
    matched = _BOUND.fullmatch(bound.strip())
    if not equals or matched is None:
        raise ValueError("not of the form ttft.p95=500ms or error_rate=1%")
    value, unit = float(matched[1]), matched[2] or ""
    if metric in LATENCIES:
        stat = _parse_stat(stat)
        _require(unit in ("s", "ms", "us"), "a time with its unit: s, ms or us")
    elif metric == ERROR_RATE:
        _require(not dot and unit in ("", "%") and value * _UNITS[unit] <= 1, "a share, such as 0 or 1%")
    elif metric in RATES:
        _require(not dot and not unit, "a number a second, without a unit")
    else:
        known = ", ".join((*(f"{each}.p95" for each in LATENCIES), ERROR_RATE, *RATES))
        raise ValueError(f"no such metric; there are {known}")
    return LoadLimit(metric, stat or None, _round_off(value * _UNITS[unit]), text, source)


def _parse_stat(text: str) -> str:
    """The canonical name of a statistic: p95.0 is p95."""
    if _PERCENTILE.fullmatch(text) and float(text[1:]):
        return f"p{float(text[1:]):g}"
    _require(text in ("mean", "max"), "a mean, max or p and a percentage")
    return text


def _require(holds: bool, wanted: str) -> None:
    if not holds:
        raise ValueError(f"it takes {wanted}")


def _round_off(value: float) -> float:
    return round(value, 9) if math.isfinite(value) else value
