"""What checks, tables, charts and probes are, and how a function is made one."""

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, Literal

from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Finding, Panel, Row
from dynocheck.facts import Access, Fact

CheckFunction = Callable[..., Iterable[Finding] | None]
TableFunction = Callable[..., Iterable[Row]]
ChartFunction = Callable[..., Iterable[Panel]]
ChartKind = Literal["histogram", "timeline", "curve"]
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*")


class RegistryError(UsageError):
    """A check or probe cannot be used as it is written, or a selection names none."""


@dataclass(frozen=True)
class Need:
    """A fact that a check takes: by which parameter, and whether it can do without."""

    parameter: str
    fact: type[Fact]
    optional: bool


@dataclass(frozen=True)
class Declaration:
    """What is made of facts by a function: a check, a table, or a chart."""

    id: str
    title: str
    function: Callable[..., Any]
    aliases: tuple[str, ...] = ()

    @property
    def area(self) -> str:
        return self.id.partition(".")[0]

    @property
    def documentation(self) -> str:
        """Why it matters and what mends it."""
        return inspect.cleandoc(self.function.__doc__ or "")

    @cached_property
    def needs(self) -> tuple[Need, ...]:
        """The facts it takes, from the types of its parameters.

        :raises RegistryError: a parameter's type is no fact.
        """
        return tuple(_resolve_needs(self))

    def matches(self, pattern: str) -> bool:
        """Whether this id or glob means it: by its id, its area or an id it had before."""
        return any(fnmatchcase(name, pattern) for name in (self.id, self.area, *self.aliases))


@dataclass(frozen=True)
class Check(Declaration):
    """One thing that must hold, stated by its title and judged by its function."""

    def __call__(self, *facts: Any, **named: Any) -> Iterable[Finding] | None:
        found: Iterable[Finding] | None = self.function(*facts, **named)
        return found


@dataclass(frozen=True)
class TableMaker(Declaration):
    """Facts laid out for people, a row for each that its function yields."""

    note: str | None = None

    def __call__(self, *facts: Any, **named: Any) -> Iterable[Row]:
        rows: Iterable[Row] = self.function(*facts, **named)
        return rows


@dataclass(frozen=True)
class ChartMaker(Declaration):
    """Facts drawn for people, a panel for each that its function yields."""

    kind: ChartKind = "histogram"
    note: str | None = None

    def __call__(self, *facts: Any, **named: Any) -> Iterable[Panel]:
        panels: Iterable[Panel] = self.function(*facts, **named)
        return panels


@dataclass(frozen=True)
class Probe:
    """Gathers one kind of fact: what its function takes and returns says from what, and which.

    It may look at sources, and at facts of other probes, for which it waits.
    """

    name: str
    look: Callable[..., Fact]
    access: tuple[Access, ...] = ()
    limit: Callable[..., float] | None = None

    @cached_property
    def provides(self) -> type[Fact]:
        """The fact it gathers.

        :raises RegistryError: the function does not say which fact it returns.
        """
        fact = _resolve_hints(self.look, self.name).get("return")
        if not (isinstance(fact, type) and issubclass(fact, Fact)):
            raise RegistryError(f"probe {self.name}: its return type is not a fact")
        return fact

    @cached_property
    def sources(self) -> dict[str, type]:
        """What it looks at, by parameter name."""
        return {name: t for name, t in _resolve_hints(self.look, self.name).items() if name != "return"}

    def limit_s(self, usual: float, **named: Any) -> float:
        """The seconds that it may take when it looks at these."""
        return usual if self.limit is None else self.limit(**named)

    def __call__(self, *sources: Any, **named: Any) -> Fact:
        return self.look(*sources, **named)


def check(
    id: str,  # noqa: A002  (the design's word for it)
    *,
    title: str,
    aliases: Sequence[str] = (),
) -> Callable[[CheckFunction], Check]:
    """Make a check of a function that takes facts and yields findings, none of them when all is well.

    :param id: `area.kebab-name`, stable for ever.
    :param title: what must hold, as a statement.
    :param aliases: ids that the check had before.
    :raises RegistryError: the id is not of that form.
    """
    _validate_id(id)

    def make(judge: CheckFunction) -> Check:
        return Check(id, title, judge, tuple(aliases))

    return make


def table(
    id: str,  # noqa: A002
    *,
    title: str,
    note: str | None = None,
) -> Callable[[TableFunction], TableMaker]:
    """Make a table of a function that takes facts and yields rows: a mapping from column to cell each.

    A column is there when a row has something in it, in the order in which they come. Without rows there
    is no table.

    :param id: `area.kebab-name`; `--select` and `--skip` of its area, or of itself, mean the table too.
    :param title: what its rows are.
    :param note: a line below it.
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
    """Make a chart of a function that takes facts and yields panels. Without panels there is no chart.

    :param id: `area.kebab-name`; `--select` and `--skip` mean it as they mean a table.
    :param title: what its panels show.
    :param kind: of what kind they are; `dynocheck.core.outcomes.Chart` describes each.
    :param note: a line below it.
    :raises RegistryError: the id is not of that form.
    """
    _validate_id(id)

    def make(panels: ChartFunction) -> ChartMaker:
        return ChartMaker(id, title, panels, kind=kind, note=note)

    return make


def _validate_id(id: str) -> None:  # noqa: A002
    if not _ID.fullmatch(id):
        raise RegistryError(f"check id {id!r} is not of the form area.kebab-name")


def probe(
    *, access: Sequence[Access] = (), limit: Callable[..., float] | None = None
) -> Callable[[Callable[..., Fact]], Probe]:
    """Make a probe of a function that takes sources and facts and returns a fact, or raises `Unavailable`.

    :param access: the rights in a cluster that it needs.
    :param limit: gives, for what the probe is given, the seconds that it may take, where those of other
        probes are too few.
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
