"""Builds the tables and charts of a run, and its report."""

import datetime
import enum
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dynocheck._version import __version__
from dynocheck.core.bounded import run_bounded
from dynocheck.core.crashes import describe_crash, is_own
from dynocheck.core.declarations import ChartMaker, TableMaker
from dynocheck.core.errors import PluginError
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.outcomes import Chart, Report, Table, Tool, Verdict, count_outcomes
from dynocheck.facts import Fact
from dynocheck.secrets import hide_all, hide_assigned


def tabulate(
    makers: Iterable[TableMaker | ChartMaker], knowledge: Knowledge, limit_s: float = 10.0
) -> tuple[Table | Chart, ...]:
    """The tables that have rows and the charts that have panels.

    One that crashed becomes a table with a note. One whose facts are missing is left out: the checks that
    need those facts give the reason.

    :param limit_s: seconds for each custom one.
    """
    built = (_build(maker, knowledge, limit_s) for maker in makers if not knowledge.list_missing(maker))
    return tuple(table for table in built if table is not None)


def build_report(
    command: str,
    target: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    started: float,
    tables: Sequence[Table | Chart] = (),
) -> Report:
    """The report of a run.

    :param started: when the run started, as `time.time()` gives it.
    """
    start = datetime.datetime.fromtimestamp(started, datetime.UTC)
    report = Report(
        tool=Tool("dynocheck", __version__),
        command=command,
        started=start.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        duration_s=round(time.time() - started, 6),
        target=dict(target),
        summary=count_outcomes(verdicts),
        verdicts=tuple(verdicts),
        tables=tuple(table for table in tables if isinstance(table, Table)),
        charts=tuple(chart for chart in tables if isinstance(chart, Chart)),
    )
    hidden: Report = _hide(report, {})
    return hidden


def _hide(value: Any, known: dict[str, str]) -> Any:
    """The value without secrets, whoever put them there; itself where it has none.

    :param known: texts of this report that were looked at.
    """
    match value:
        case None | int() | float() | enum.Enum():
            return value
        case str():
            if value not in known:
                known[value] = hide_assigned(value)
            return known[value]
        case msgspec.Struct():
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            changed = {name: new for name, old in fields.items() if (new := _hide(old, known)) is not old}
            return msgspec.structs.replace(value, **changed) if changed else value
        case Mapping():
            return value if (hidden := hide_all(value)) == value else hidden
        case tuple() | list():
            items = [_hide(item, known) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else type(value)(items)
    return value


def _build(maker: TableMaker | ChartMaker, knowledge: Knowledge, limit_s: float) -> Table | Chart | None:
    """Build a table or chart; a custom one in a child of this process."""
    facts = knowledge.get_arguments(maker)
    if is_own(maker.function):
        return _try_build(maker, facts)
    try:
        answer = run_bounded(lambda: _encode(_try_build(maker, facts)), limit_s)
        built = msgspec.msgpack.decode(answer, type=_Built)
    except (PluginError, msgspec.MsgspecError) as error:
        return Table(id=maker.id, title=maker.title, note=str(error))
    return built.table or built.chart


class _Built(msgspec.Struct):
    table: Table | None = None
    chart: Chart | None = None


def _encode(built: Table | Chart | None) -> bytes:
    answer = _Built(chart=built) if isinstance(built, Chart) else _Built(table=built)
    return msgspec.msgpack.encode(answer, enc_hook=str)


def _try_build(maker: TableMaker | ChartMaker, facts: Mapping[str, Fact | None]) -> Table | Chart | None:
    try:
        return _build_chart(maker, facts) if isinstance(maker, ChartMaker) else _build_table(maker, facts)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and is_own(maker.function):
            raise
        return Table(id=maker.id, title=maker.title, note=describe_crash(error, maker.function))


def _build_chart(maker: ChartMaker, facts: Mapping[str, Fact | None]) -> Chart | None:
    panels = tuple(maker(**facts) or ())
    if not panels:
        return None
    return Chart(id=maker.id, title=maker.title, kind=maker.kind, panels=panels, note=maker.note)


def _build_table(maker: TableMaker, facts: Mapping[str, Fact | None]) -> Table | None:
    rows = [dict(row) for row in maker(**facts) or ()]
    names = dict.fromkeys(column for row in rows for column in row)
    columns = tuple(name for name in names if any(row.get(name) not in (None, "", ()) for row in rows))
    if not columns:
        return None
    cells = tuple(tuple(row.get(column) for column in columns) for row in rows)
    return Table(id=maker.id, title=maker.title, columns=columns, rows=cells, note=maker.note)
