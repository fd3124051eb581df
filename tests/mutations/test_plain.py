"""Defects seeded into manifests that serve models without Dynamo: into samples of ours, and into public ones.

A file at a time is spoilt and judged by itself, by every check that runs unasked: a finding that was not
there before must stand on a line that the defect is known by.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from tests.fuzz.judging import judge_path
from tests.mutations.defect import Defect
from tests.mutations.plain import KINDS
from tests.mutations.seeding import apply_defect

SAMPLES = Path(__file__).with_name("samples")
CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "plain"
LEAST = 0.97  # of the defects in public manifests, of which some are in what nothing is known of


class Said(NamedTuple):
    check: str
    message: str
    line: int | None


class Seeded(NamedTuple):
    kind: str
    place: str
    noticed: bool
    told: tuple[str, ...]


class Workbench:
    """Judges texts as files of a folder, whole ones once.

    :param root: where the files are.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.texts = {str(file.relative_to(root)): file.read_text() for file in sorted(root.rglob("*.yaml"))}
        self._folder = folder
        (folder / "judged").mkdir()
        self.judge_whole = cache(lambda name: self.judge(name, self.texts[name]))

    def judge(self, name: str, text: str) -> frozenset[Said]:
        file = self._folder / "judged" / Path(name).name
        file.write_text(text)
        ended = judge_path(file, self._folder, select="", limit_s=30)
        file.unlink()
        assert not ended.crashes, ended.crashes
        verdicts = ended.report["verdicts"] if ended.report else []
        return frozenset(
            Said(verdict["check"], finding["message"], (finding["location"] or {}).get("line"))
            for verdict in verdicts
            for finding in verdict["findings"]
            if finding["outcome"] in ("fail", "warn")
        )

    def find_sites(self, kind: Defect) -> dict[str, list[int]]:
        """The places of each file where a kind can be made; a file that does not parse has none."""
        found: dict[str, list[int]] = {}
        for name, text in self.texts.items():
            if not re.search(kind.files, name) or not re.search(kind.needs, text, re.MULTILINE):
                continue
            for match in re.finditer(kind.old, text, re.MULTILINE):
                line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
                if not line.lstrip().startswith("#") and re.search(kind.after, text[: match.start()]):
                    found.setdefault(name, []).append(match.start())
        return {
            name: starts
            for name, starts in found.items()
            if not any(said.check == "manifest.yaml" for said in self.judge_whole(name))
        }

    def seed(self, kind: Defect, name: str, start: int) -> Seeded:
        text = self.texts[name]
        changed, lines = apply_defect(kind, text, start)
        before = self.judge_whole(name)
        known = {said[:2] for said in before}
        new = [
            said
            for said in self.judge(name, changed)
            if said[:2] not in known or (said not in before and said.line in lines)
        ]
        told = tuple(f"{said.check} {said.line} {said.message}" for said in new)
        place = f"{name}:{text.count(chr(10), 0, start) + 1}"
        return Seeded(kind.name, place, any(said.line in lines for said in new), told)


def seed_kinds(root: Path, folder: Path, seed: str, most: int) -> list[Seeded]:
    """Each kind at a place of so many files at most."""
    bench = Workbench(root, folder)
    found = []
    for kind in KINDS:
        sites = bench.find_sites(kind)
        for name in Random(f"{seed}:{kind.name}").sample(sorted(sites), min(most, len(sites))):
            start = Random(f"{seed}:{kind.name}:{name}").choice(sites[name])
            found.append(bench.seed(kind, name, start))
    return found


def describe(found: Sequence[Seeded]) -> str:
    missed = Counter(each.kind for each in found if not each.noticed)
    shown = [f"{each.kind} in {each.place}: {each.told}" for each in found if not each.noticed]
    noticed = sum(each.noticed for each in found)
    return "\n".join([f"{noticed} of {len(found)} are noticed; missed: {dict(missed)}", *shown])


def test_samples_are_quiet(tmp_path: Path) -> None:
    bench = Workbench(SAMPLES, tmp_path)
    assert {name: told for name in bench.texts if (told := bench.judge_whole(name))} == {}


def test_each_kind_of_defect_in_our_samples_is_noticed(tmp_path: Path) -> None:
    found = seed_kinds(SAMPLES, tmp_path, "samples", most=1)
    assert {each.kind for each in found} == {kind.name for kind in KINDS}
    assert len(KINDS) >= 40
    assert all(each.noticed for each in found), describe(found)


@pytest.mark.verify
@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus beside this clone")
@pytest.mark.parametrize("seed", ["first", "second"])
def test_defects_in_public_manifests_are_noticed(tmp_path: Path, seed: str) -> None:
    found = seed_kinds(CORPUS, tmp_path, seed, most=8)
    print(describe(found))
    assert len({each.kind for each in found}) >= 40
    assert sum(each.noticed for each in found) >= LEAST * len(found), describe(found)
