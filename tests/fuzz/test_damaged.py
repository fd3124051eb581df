"""Real recipes, damaged: whatever stands in a file, dynocheck says what is wrong and never crashes."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from tests.fuzz.damage import damage_text
from tests.fuzz.judging import TooLong, judge_path, pick_format

RECIPES = Path(__file__).parents[2] / "recipes"
CORPUS = RECIPES.parent.parent / "shared" / "corpus" / "recipes"
FILES = 100_000  # damaged by `make verify`
CHUNK = 500


class Bad(NamedTuple):
    """A case that did not end as it must: its seed makes it again."""

    seed: str
    files: tuple[str, ...]
    why: str


@cache
def variants() -> tuple[tuple[Path, ...], ...]:
    """The files of each variant of each recipe, with those that its model downloads by."""
    found = []
    for model in (folder for root in (RECIPES, CORPUS) if root.is_dir() for folder in sorted(root.iterdir())):
        files = [
            path for path in sorted(model.rglob("*")) if path.suffix in (".yaml", ".md") and path.is_file()
        ]
        common = tuple(path for path in files if path.parent in (model, model / "model-cache"))
        for folder in sorted({path.parent for path in files} - {path.parent for path in common}):
            found.append((*(path for path in files if path.parent == folder), *common))
    return tuple(found)


def place(random: Random, target: Path) -> tuple[str, ...]:
    """Lay out a variant with most of its files damaged; give the names of those that are."""
    files = random.choice(variants())
    root = next(path for path in files[0].parents if path.parent in (RECIPES, CORPUS))
    spoilt = []
    for file in files:
        text = file.read_bytes()
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if random.random() < 0.7:
            text = damage_text(text, random)
            spoilt.append(str(file))
        copy.write_bytes(text)
    return tuple(spoilt)


def case(seed: str, scratch: Path, number: int) -> tuple[int, list[Bad]]:
    """Make the case of this seed and judge it: how many files were damaged, and what came of it."""
    recipe = scratch / "recipe"
    shutil.rmtree(recipe, ignore_errors=True)
    recipe.mkdir()
    files = place(Random(seed), recipe)
    try:
        crashes = judge_path(recipe, scratch, pick_format(number)).crashes
    except TooLong:
        crashes = ["took too long"]
    except Exception as error:  # of a report's writer, say: the seed must not get lost
        crashes = [repr(error)]
    return len(files), [Bad(seed, files, why) for why in crashes]


def chunk(seed: str, start: int, cases: int) -> tuple[int, list[Bad]]:
    with tempfile.TemporaryDirectory(prefix="dynocheck-fuzz-") as folder:
        results = [case(f"{seed}:{i}", Path(folder), i) for i in range(start, start + cases)]
    return sum(files for files, _ in results), [bad for _, found in results for bad in found]


def fuzz(seed: str, files: int, workers: int = 2) -> tuple[int, list[Bad]]:
    """Damage at least so many files: how many it were, and every case that ended badly."""
    done = 0
    bad: list[Bad] = []
    with ProcessPoolExecutor(workers) as pool:
        start = 0
        while done < files and len(bad) < 20:
            rounds: Iterator[tuple[int, list[Bad]]] = pool.map(
                chunk, [seed] * workers, range(start, start + workers * CHUNK, CHUNK), [CHUNK] * workers
            )
            for count, found in rounds:
                done, bad = done + count, bad + found
            start += workers * CHUNK
    return done, bad


def told(bad: Sequence[Bad]) -> str:
    return "\n".join(f"{one.why}\n  seed {one.seed}\n  damaged {', '.join(one.files)}" for one in bad)


def test_damaged_recipes_are_judged() -> None:
    _, bad = chunk("sample", 0, 50)
    assert not bad, told(bad)


@pytest.mark.verify
def test_a_hundred_thousand_damaged_files_are_judged() -> None:
    done, bad = fuzz("verify", FILES)
    assert not bad, told(bad)
    assert done >= FILES
