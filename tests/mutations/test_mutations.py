"""Defects seeded into real recipes: into ours and, in the long proof, into those that people run upstream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutations.kinds import KINDS
from tests.mutations.seeding import CORPUS, RECIPES, SeededDefect, seed_defects, table

LEAST = 0.99  # of all defects that the right check notices on the right line


def assert_noticed(found: Sequence[SeededDefect]) -> None:
    missed = "\n".join(str(each) for each in found if not each.noticed)
    print(table(found))
    assert sum(each.noticed for each in found) >= LEAST * len(found), f"{table(found)}\n{missed}"


def test_a_defect_of_each_kind_is_noticed(tmp_path: Path) -> None:
    found = seed_defects(tmp_path, "sample", 1, [RECIPES])
    assert len(KINDS) >= 40
    assert_noticed(found)


@pytest.mark.verify
def test_every_kind_of_defect_is_noticed(tmp_path: Path) -> None:
    found = seed_defects(tmp_path, "verify", 1000, [RECIPES, CORPUS])
    assert CORPUS.is_dir() <= ({each.kind.name for each in found} == {kind.name for kind in KINDS})
    assert_noticed(found)
