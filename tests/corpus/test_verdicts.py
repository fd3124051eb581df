"""Each failure and each kind of warning on upstream's manifests has a reason that a person can check."""

import os

import pytest

from tests.corpus.verdicts import (
    CORPUS,
    PLAIN,
    TODO,
    UPSTREAM,
    Row,
    Table,
    Told,
    find_told_twice,
    judge_corpus,
    read_table,
    renew,
    write_table,
)
from tests.wording import RENEW


@pytest.fixture(scope="module", params=[UPSTREAM, PLAIN], ids=lambda table: table.file.stem)
def table(request: pytest.FixtureRequest) -> Table:
    chosen: Table = request.param
    return chosen


@pytest.fixture(scope="module")
def told(table: Table, tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """What dynocheck says of a corpus; where its table is renewed, it is made to say the same."""
    if not CORPUS.is_dir():
        pytest.skip("no corpus beside this clone")
    found = judge_corpus(table, tmp_path_factory.mktemp("corpus"))
    if RENEW in os.environ:
        write_table(table, renew(read_table(table), found))
    return found


def test_the_table_is_what_is_said(table: Table, told: list[Told]) -> None:
    known = read_table(table)
    assert renew(known, told) == known, f"renew {table.file.name} with {RENEW}=1, and say why"


def test_no_cause_is_told_twice(table: Table, told: list[Told]) -> None:
    assert find_told_twice(read_table(table), told) == []


def test_no_finding_belongs_to_two_rows(table: Table, told: list[Told]) -> None:
    rows = read_table(table)
    assert [each for each in told if sum(row.covers(each) for row in rows) > 1] == []


def test_everything_has_a_reason(table: Table) -> None:
    rows = read_table(table)
    assert [row.check for row in rows if row.reason.startswith(TODO) or len(row.reason) < 20] == []


def test_what_was_true_when_the_corpus_was_first_judged_is_still_told() -> None:
    assert sum(row.times for row in read_table(UPSTREAM) if row.known) == 38


def test_a_new_failure_and_a_new_kind_of_warning_are_left_to_be_reasoned() -> None:
    known = [Row("a.b", "fail", "", "It is so.", ("f:1", "f:2"), 2), Row("a.b", "warn", "odd", "So.", (), 1)]
    told = [
        Told("a.b", "fail", "f:1", "x"),
        Told("a.b", "fail", "f:3", "x"),
        Told("a.b", "warn", "f:1", "an odd thing"),
        Told("a.b", "warn", "f:2", "another odd thing"),
        Told("a.b", "warn", "f:2", "something else"),
    ]
    assert renew(known, told) == [
        Row("a.b", "fail", "", "It is so.", ("f:1",), 1),
        Row("a.b", "fail", "", f"{TODO}: x", ("f:3",), 1),
        Row("a.b", "warn", "odd", "So.", (), 2),
        Row("a.b", "warn", "something else", f"{TODO}: something else", (), 1),
    ]


def test_a_warning_may_be_listed_by_its_places() -> None:
    known = [Row("a.b", "warn", "odd", "Here.", ("f:1",), 1, known=True)]
    told = [Told("a.b", "warn", place, "an odd thing") for place in ("f:1", "f:2")]
    new = Row("a.b", "warn", "an odd thing", f"{TODO}: an odd thing", (), 1)
    assert renew(known, told) == [new, *known]


def test_a_row_that_no_longer_occurs_goes() -> None:
    known = [Row("a.b", "warn", "odd", "So.", (), 1), Row("a.b", "warn", "even", "So.", (), 1)]
    assert renew(known, [Told("a.b", "warn", "f:1", "an odd thing")]) == known[:1]


def test_a_place_of_which_two_causes_are_told_is_found() -> None:
    told = [Told("a.b", "fail", "f:1", "x"), Told("a.b", "fail", "f:2", "y"), Told("a.c", "warn", "f:1", "z")]
    assert find_told_twice([], told[:2]) == []
    assert find_told_twice([], told) == ["f:1"]
    assert find_told_twice([], [*told[:2], told[1]]) == ["f:2"]
    assert find_told_twice([Row("a.c", "warn", "z", "Another.", (), 1, beside=("a.b",))], told) == []
