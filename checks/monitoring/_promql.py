"""PromQL, by a parser that follows Prometheus's: the series of a query, and what they are compared with."""

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from dynocheck.data.metrics import find_series, find_unit

if TYPE_CHECKING:
    from promql_parser import Expr, VectorSelector

_MAX_DEPTH, _MAX_OPERATORS = 50, 200  # the parser recurses, and copies what is below each operator
_OPERATOR = re.compile(r"[-+*/%^<>!=]|\b(?:and|or|unless|atan2)\b")
_QUANTILE = "histogram_quantile"
_WAITS = re.compile(r"wait|queue|pending|admission|schedul|dispatch|backoff|job|workload")  # nobody's request
_COMPARISONS = (">", ">=", "<", "<=", "==", "!=")
# What keeps the unit of the samples that it takes.
_KEEPING = ("avg", "max", "min", "quantile", "topk", "bottomk", "last", "first")
_KEEPS_UNIT = {*_KEEPING, *(f"{name}_over_time" for name in _KEEPING), "sort", "sort_desc", "label_replace"}
# Errors that a newer Prometheus, or another language of the same files, may not have.
_UNCERTAIN = re.compile(r"unknown function|inside brackets: '[-+*/]'")
_OTHER_LANGUAGE = re.compile(r"\|[=~ ]|\$|\{\{|\b(?:smoothed|anchored)\b")


class Comparison(NamedTuple):
    """A value in this unit, ratio, percent, MiB or seconds, that is compared with a number."""

    unit: str
    operator: str
    number: float


class ParsedQuery(NamedTuple):
    """The series that a query names, its comparisons, and the unit of its result, empty if unknown.

    `flaws` are why a part of it never has a useful result. `error` is why it does not parse; it is `certain`
    if Prometheus refuses it, too.
    """

    series: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    unit: str = ""
    flaws: tuple[str, ...] = ()
    error: str = ""
    certain: bool = True


@lru_cache(4096)
def parse_query(text: str) -> ParsedQuery:
    """Takes a query in PromQL apart."""
    from promql_parser import VectorSelector, parse  # 5 MB of machine code, for recipes with queries alone

    depth = max(text.count("("), text.count("["), text.count("{"))
    if depth > _MAX_DEPTH or sum(1 for _ in _OPERATOR.finditer(text)) > _MAX_OPERATORS:
        return ParsedQuery(error="too long to be parsed", certain=False)
    try:
        root = parse(text)
    except ValueError as error:
        certain = not (_UNCERTAIN.search(str(error)) or _OTHER_LANGUAGE.search(text))
        return ParsedQuery(error=str(error), certain=certain)
    nodes = [*_walk(root)]
    series = [_read_name(node) for node in nodes if isinstance(node, VectorSelector)]
    comparisons = tuple(c for node in nodes for c in _read_comparison(node))
    flaws = tuple(dict.fromkeys(flaw for node in nodes for flaw in _find_flaws(node)))
    return ParsedQuery(tuple(dict.fromkeys(filter(None, series))), comparisons, _find_unit(root), flaws)


def _walk(root: "Expr") -> Iterator["Expr"]:
    from promql_parser import MatrixSelector, walk

    found: list[Expr] = []
    walk(root, pre_visit=found.append)
    for node in found:
        yield node
        if isinstance(node, MatrixSelector):
            yield node.vector_selector


def _read_name(selector: "VectorSelector") -> str:
    matchers = (m for m in selector.matchers.matchers if str(m.op).endswith(".Equal"))
    return selector.name or next((m.value for m in matchers if m.name == "__name__"), "")


def _read_comparison(node: "Expr") -> Iterator[Comparison]:
    from promql_parser import BinaryExpr

    if isinstance(node, BinaryExpr) and str(node.op) in _COMPARISONS:
        number = _read_number(node.rhs)
        unit = _find_unit(node.lhs)
        if unit and not math.isnan(number):
            yield Comparison(unit, str(node.op), number)


def _find_flaws(node: "Expr") -> Iterator[str]:
    """Why a quantile of a histogram is infinite, or has no buckets to be computed of."""
    import promql_parser as promql

    if not (isinstance(node, promql.Call) and node.func.name == _QUANTILE and len(node.args) == 2):
        return
    share, of = _read_number(node.args[0]), node.args[1]
    if share > 1:
        yield f"{_QUANTILE}({share:g}, ...) is always infinite: it takes 0.95 for the 95th percentile"
    if isinstance(of, promql.AggregateExpr) and str(of.op) in ("sum", "avg", "max", "min"):
        labels = of.modifier.labels if of.modifier is not None else ()
        without = of.modifier is not None and str(of.modifier.type).endswith(".Without")
        if ("le" in labels) == without and any(name.endswith("_bucket") for name in _list_names(of)):
            yield f"{_QUANTILE} needs the label le, which {of.op} drops: it has no result"


def _list_names(root: "Expr") -> Iterator[str]:
    from promql_parser import VectorSelector

    return (_read_name(node) for node in _walk(root) if isinstance(node, VectorSelector))


def _read_number(node: "Expr") -> float:
    from promql_parser import NumberLiteral, ParenExpr

    if isinstance(node, ParenExpr):
        return _read_number(node.expr)
    return node.val if isinstance(node, NumberLiteral) else math.nan


def _find_unit(node: "Expr") -> str:
    """The unit of what an expression comes to; empty if it is another or unknown."""
    import promql_parser as promql

    if isinstance(node, promql.VectorSelector):
        return find_unit(_read_name(node))
    if isinstance(node, promql.MatrixSelector):
        return find_unit(_read_name(node.vector_selector))
    if isinstance(node, promql.ParenExpr | promql.SubqueryExpr):
        return _find_unit(node.expr)
    if isinstance(node, promql.AggregateExpr):
        return _find_unit(node.expr) if str(node.op) in _KEEPS_UNIT else ""
    if isinstance(node, promql.BinaryExpr):
        return _find_unit(node.lhs) if str(node.op) in _COMPARISONS and not _returns_bool(node) else ""
    if isinstance(node, promql.Call) and node.func.name == _QUANTILE:
        return "seconds" if any(map(_is_latency, _list_names(node))) else ""
    if isinstance(node, promql.Call) and node.func.name in _KEEPS_UNIT:
        return next((unit for arg in node.args if (unit := _find_unit(arg))), "")
    return ""


def _is_latency(name: str) -> bool:
    """Whether a histogram holds how long requests take, in seconds: jobs in a queue may wait hours."""
    of_requests = find_series(name) is not None or _WAITS.search(name) is None
    return name.endswith("_seconds_bucket") and of_requests


def _returns_bool(node: "Expr") -> bool:
    modifier = getattr(node, "modifier", None)
    return modifier is not None and modifier.return_bool
