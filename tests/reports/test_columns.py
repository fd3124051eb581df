"""Tables that come with a report."""

import pytest
from rich.cells import cell_len

from dynocheck.core.outcomes import Cell, Table
from dynocheck.reports import ReportOptions, render_report
from tests.reports.samples import VARIANTS, report, with_table


def shown(table: Table, width: int = 80) -> list[str]:
    """The lines of the table, below its title."""
    options = ReportOptions(width=width, height=1000)
    lines = render_report(report(tables=(table,)), "table", options).splitlines()
    return lines[lines.index(table.title) + 1 :]


def rows(*of: tuple[Cell, ...]) -> Table:
    columns = tuple(f"c{number}" for number, _ in enumerate(of[0]))
    return Table(id="house.table", title="Things", columns=columns, rows=of)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = rows(("名前が長すぎます" * 9, ("a/b-c" * 30, "x"), 1), ("x " * 99, "y", 10**30))
    for table in (VARIANTS, wide):
        assert max(cell_len(line) for line in shown(table, width)) <= width


def test_a_table_that_fits_has_a_line_a_row() -> None:
    assert shown(VARIANTS, 100)[:2] == [
        "  variant                                       GPUs  role     replicas  gang   KV",
        "  llama-3-70b/vllm/disagg-single-node-of-eight  8     prefill         2  yes",
    ]


def test_nothing_is_lost_by_wrapping() -> None:
    (_, *lines) = shown(rows(("one two-three/four " + "x" * 50,)), 40)
    assert lines == ["  one two-three/four", "  " + "x" * 38, "  " + "x" * 12]


def test_several_values_of_a_cell_stay_beside_their_like() -> None:
    (_, *lines) = shown(rows((("a-word", "b"), ("first", "second"), "of one")), 40)
    assert lines == ["  a-word  first   of one", "  b       second"]
    (_, _, *lines) = shown(rows(("x", ("one two " * 4 + "three-four", "b"), ("first", "second"))), 40)
    assert lines == [
        "  x",
        "    one two one two one two one   first",
        "    two three-four",
        "    b                             second",
    ]


def test_values_without_room_beside_each_other_are_listed_by_name() -> None:
    table = rows(("x", ("one", "two"), "y" * 32), ("z", ("three", None), "of one"))
    assert shown(table, 40) == [
        "  c0",
        "  x",
        "    c1 one, c2",
        f"      {'y' * 32}",
        "    c1 two",
        "  z",
        "    c1 three, c2 of one",
    ]


def test_whole_words_give_way_last() -> None:
    (_, _, *lines) = shown(rows(("x", "some words that may be wrapped", "one-that-may-not-be")), 40)
    assert lines == ["  x", "    some words that  one-that-may-not-be", "    may be wrapped"]


@pytest.mark.parametrize("format", ["junit", "sarif", "github"])
def test_formats_of_findings_leave_it_out(format: str) -> None:  # noqa: A002
    assert "variant" not in render_report(with_table(), format)


def test_a_table_without_rows_says_why() -> None:
    broken = Table(id="house.table", title="Things", note="crashed: KeyError in house.py, line 3")
    assert shown(broken) == ["  crashed: KeyError in house.py, line 3"]
