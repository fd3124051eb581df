"""Checks, tables, charts and probes, and the decorators that declare them."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

from dynocheck.core.errors import RegistryError
from dynocheck.core.explanations import Explanations
from dynocheck.core.outcomes import Panel, Result, Row
from dynocheck.facts import Access, Fact

CheckFunction = Callable[..., Iterable[Result] | None]
TableFunction = Callable[..., Iterable[Row]]
ChartFunction = Callable[..., Iterable[Panel]]
ChartKind = Literal["histogram", "timeline", "curve"]
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Need:
    """A fact that a check takes as a parameter; an optional one may be None."""

    parameter: str
    fact: type[Fact]
    optional: bool


@dataclass(frozen=True)
class Declaration:
    """A function of facts: a check, a table or a chart."""

    id: str
    title: str
    function: Callable[..., Any]
    aliases: tuple[str, ...] = ()

    @property
    def area(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def documentation(self) -> str:
        """Why it matters and how to fix it: the docstring of the function."""
        return inspect.cleandoc(self.function.__doc__ or "")

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """The facts it takes, from the types of its parameters.

        :raises RegistryError: the type of a parameter is not a fact.
        """
        return tuple(_resolve_needs(self))

    def matches(self, pattern: str) -> bool:
        """Whether an id or glob matches its id, its area or one of its aliases."""
        return any(fnmatchcase(name, pattern) for name in (self.id, self.area, *self.aliases))


@dataclass(frozen=True)
class Check(Declaration):
    """One thing that must hold, stated by the title and judged by the function.

    `explained_by` names the checks whose findings explain those of this one. One that is `on_request` runs
    only if it is selected.
    """

    explained_by: Explanations = field(default_factory=dict, hash=False)
    on_request: bool = False

    def __call__(self, *facts: Any, **named: Any) -> Iterable[Result] | None:
        findings: Iterable[Result] | None = self.function(*facts, **named)
        return findings


@dataclass(frozen=True)
class TableMaker(Declaration):
    """A table for people; its function yields the rows."""

    note: str | None = None

    def __call__(self, *facts: Any, **named: Any) -> Iterable[Row]:
        rows: Iterable[Row] = self.function(*facts, **named)
        return rows


@dataclass(frozen=True)
class ChartMaker(Declaration):
    """A chart for people; its function yields the panels."""

    kind: ChartKind = "histogram"
    note: str | None = None

    def __call__(self, *facts: Any, **named: Any) -> Iterable[Panel]:
        panels: Iterable[Panel] = self.function(*facts, **named)
        return panels


@dataclass(frozen=True)
class Probe:
    """Gathers one fact. The types of its function give the sources and the fact.

    A source may be the fact of another probe, for which it waits.
    """

    name: str
    look: Callable[..., Fact]
    access: tuple[Access, ...] = ()
    limit: Callable[..., float] | None = None

    @cached_property
    def provides(self) -> type[Fact]:
        """The fact it gathers.

        :raises RegistryError: the return type of the function is not a fact.
        """
        fact = _resolve_hints(self.look, self.name).get("return")
        if not (isinstance(fact, type) and issubclass(fact, Fact)):
            raise RegistryError(f"probe {self.name}: its return type is not a fact")
        return fact

    @cached_property
    def sources(self) -> dict[str, type]:
        """The types of its sources, by parameter."""
        return {name: t for name, t in _resolve_hints(self.look, self.name).items() if name != "return"}

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of its parameters."""
        return tuple(inspect.signature(self.look).parameters)

    def limit_s(self, default: float, **named: Any) -> float:
        """Its timeout in seconds for these sources."""
        return default if self.limit is None else self.limit(**named)

    def __call__(self, *sources: Any, **named: Any) -> Fact:
        return self.look(*sources, **named)


def check(
    id: str,  # noqa: A002
    *,
    title: str,
    aliases: Sequence[str] = (),
    explained_by: Explanations | None = None,
    on_request: bool = False,
) -> Callable[[CheckFunction], Check]:
    """Declare a check: a function that takes facts and yields findings, none when all is well.

    :param id: `area.kebab-name`; never changes.
    :param title: what must hold, as a statement.
    :param aliases: former ids of the check.
    :param explained_by: the checks whose findings explain findings of this one, each with the relation that
        must hold between the two, such as `same_place`. The explained finding is reported below the other.
    :param on_request: whether it runs only if `--select`, or `select` of the site's files, names it.
    :raises RegistryError: the id is not of that form.
    """
    _validate_id(id)

    def make(judge: CheckFunction) -> Check:
        return Check(id, title, judge, tuple(aliases), explained_by or {}, on_request)

    return make


def table(
    id: str,  # noqa: A002
    *,
    title: str,
    note: str | None = None,
) -> Callable[[TableFunction], TableMaker]:
    """Declare a table: a function that takes facts and yields rows, each a mapping from column to cell.

    Columns stand in the order in which rows name them; an empty column, and a table without rows, is left
    out.

    :param id: `area.kebab-name`; `--select` and `--skip` match it as they match a check.
    :param title: what the rows are.
    :param note: a line below the table.
    :raises RegistryError: the id is not of that form.
    """
    _validate_id(id)

    def make(rows: TableFunction) -> TableMaker:
        return TableMaker(id, title, rows, note=note)

    return make


def chart(
    id: str,  # noqa: A002
    *,
    title: str,
    kind: ChartKind,
    note: str | None = None,
) -> Callable[[ChartFunction], ChartMaker]:
    """Declare a chart: a function that takes facts and yields panels. One without panels is left out.

    :param id: `area.kebab-name`; `--select` and `--skip` match it as they match a check.
    :param title: what the panels show.
    :param kind: see `dynocheck.core.outcomes.Chart`.
    :param note: a line below the chart.
    :raises RegistryError: the id is not of that form.
    """
    _validate_id(id)

    def make(panels: ChartFunction) -> ChartMaker:
        return ChartMaker(id, title, panels, kind=kind, note=note)

    return make


def is_id(text: object) -> bool:
    """Whether this is of the form `area.kebab-name`."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def _validate_id(id: str) -> None:  # noqa: A002
    if not is_id(id):
        raise RegistryError(f"check id {id!r} is not of the form area.kebab-name")


def probe(
    *, access: Sequence[Access] = (), limit: Callable[..., float] | None = None
) -> Callable[[Callable[..., Fact]], Probe]:
    """Declare a probe: a function that takes sources and facts and returns a fact, or raises `Unavailable`.

    :param access: the rights in the cluster that it needs.
    :param limit: takes the same arguments and returns the timeout in seconds, for a probe that needs longer
        than --timeout.
    """

    def make(look: Callable[..., Fact]) -> Probe:
        return Probe(look.__name__, look, tuple(access), limit)

    return make


def _resolve_hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError as error:
        raise RegistryError(f"{name}: {error}") from error


def _resolve_needs(owner: Declaration) -> Iterator[Need]:
    hints = _resolve_hints(owner.function, owner.id)
    for parameter in inspect.signature(owner.function).parameters:
        hint = hints.get(parameter)
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        facts = [o for o in options if isinstance(o, type) and issubclass(o, Fact)]
        if len(facts) != 1:
            raise RegistryError(f"{owner.id}: parameter {parameter} is not typed as a fact")
        yield Need(parameter, facts[0], types.NoneType in options)
