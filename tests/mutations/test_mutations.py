"""Defects seeded into real recipes: into ours and into those that people run upstream."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.mutations.defect import Defect
from tests.mutations.kinds import KINDS
from tests.mutations.seeding import CORPUS, RECIPES, SeededDefect, list_models, seed_defects, table

LEAST = 0.99  # of all defects that the right check notices on the right line; what is unjudged is not noticed
UNSEEN = (
    "nemotron-3-super",
    "glm-5.2",
    "kimi-k2.5",
)  # of vLLM, SGLang, TensorRT-LLM; no rule was written on them

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus beside this clone")


def assert_noticed(found: Sequence[SeededDefect]) -> None:
    missed = "\n".join(str(each) for each in found if not each.noticed)
    print(table(found))
    assert sum(each.noticed for each in found) >= LEAST * len(found), f"{table(found)}\n{missed}"


def sample(seed: str) -> list[Defect]:
    """The kinds that CI seeds; the others are behind `verify`."""
    return Random(seed).sample(KINDS, 60)


def test_defects_in_our_recipes_are_noticed(tmp_path: Path) -> None:
    assert len(KINDS) >= 150
    assert_noticed(seed_defects(tmp_path, "sample", list_models(RECIPES), most=1, kinds=sample("ours")))


@needs_corpus
def test_defects_in_folders_that_no_rule_was_written_on_are_noticed(tmp_path: Path) -> None:
    models = [CORPUS / name for name in UNSEEN]
    assert_noticed(seed_defects(tmp_path, "unseen", models, most=1, kinds=sample("unseen")[:24]))


@pytest.mark.verify
@needs_corpus
def test_every_kind_of_defect_is_noticed_in_those_folders(tmp_path: Path) -> None:
    assert_noticed(seed_defects(tmp_path, "unseen", [CORPUS / name for name in UNSEEN], most=1))


@pytest.mark.verify
def test_every_kind_of_defect_is_noticed_in_our_recipes(tmp_path: Path) -> None:
    assert_noticed(seed_defects(tmp_path, "verify", list_models(RECIPES)))


@pytest.mark.verify
@needs_corpus
def test_every_kind_of_defect_is_noticed_upstream(tmp_path: Path) -> None:
    found = seed_defects(tmp_path, "verify", list_models(CORPUS))
    assert len({each.kind.name for each in found}) >= 150
    assert_noticed(found)
