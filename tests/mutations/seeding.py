"""Puts defects into copies of real recipes, one at a time, and asks who notices."""

import re
import shutil
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.fuzz.judging import judge_path
from tests.mutations.defect import COMPONENT, Defect
from tests.mutations.kinds import KINDS

RECIPES = Path(__file__).parents[2] / "recipes"
CORPUS = RECIPES.parent.parent / "shared" / "corpus" / "recipes"


class Site(NamedTuple):
    """A place of a file where a kind of defect can be made."""

    model: Path
    file: Path  # within the model
    start: int


class Said(NamedTuple):
    """What a check says of a place: a finding, or that it lacks the knowledge to judge it."""

    file: str
    message: str
    line: int | None
    unjudged: bool


class SeededDefect(NamedTuple):
    kind: Defect
    site: Site
    noticed: bool
    unjudged: bool  # the right check says that it cannot judge what the defect is in
    told: tuple[str, ...]  # what the right check says, that it did not say before

    def __str__(self) -> str:
        model, told = self.site.model, "; ".join(self.told) or "nothing"
        where = f"{model.parent.parent.name}/{model.name}/{self.site.file}:{self.site.start}"
        return f"{self.kind.name} ({self.kind.check}) in {where}: {told}"


@cache
def texts() -> dict[tuple[Path, Path], str]:
    """What each file holds, by its model and its path within it; what kustomize patches is no recipe."""
    models = [path for root in (RECIPES, CORPUS) if root.is_dir() for path in sorted(root.iterdir())]
    return {
        (model, file.relative_to(model)): file.read_text()
        for model in models
        for file in sorted(model.rglob("*"))
        if file.suffix in (".yaml", ".md") and not {"kustomize", "cloud-providers"} & set(file.parts)
    }


def list_models(root: Path) -> list[Path]:
    """The folders of a folder of recipes."""
    return sorted({model for model, _ in texts() if model.parent == root})


def sites(kind: Defect, model: Path) -> list[Site]:
    """Every place in a model's folder where a defect of a kind can be made."""
    return [
        Site(model, file, match.start())
        for (folder, file), text in texts().items()
        if folder == model
        and re.search(kind.files, f"{model.name}/{file}")
        and re.search(kind.needs, text, re.MULTILINE)
        for match in re.finditer(kind.old, text, re.MULTILINE)
        if not _is_comment(text, match.start()) and re.search(kind.after, text[: match.start()])
    ]


def _is_comment(text: str, at: int) -> bool:
    return text[text.rfind("\n", 0, at) + 1 : at].lstrip().startswith("#")


def apply_defect(kind: Defect, text: str, start: int) -> tuple[str, set[int]]:
    """The text with the defect, and the lines on which it may be told."""
    match = re.compile(kind.old, re.MULTILINE).search(text, start)
    assert match is not None
    assert match.start() == start
    new = kind.new(match) if callable(kind.new) else match.expand(kind.new)
    changed = text[:start] + new + text[match.end() :]
    after = changed.splitlines()
    written = _find_changed_lines(text.splitlines(), after) | {text.count("\n", 0, start) + 1}
    near = _nearest(kind.at, after, min(written), max(written))
    return changed, written | set(near) | set(_within(kind.within, after, max(written)))


def _find_changed_lines(before: Sequence[str], after: Sequence[str]) -> set[int]:
    """The lines that differ, and those around one that is gone."""
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    spans = [(start, end) for change, _, _, start, end in changes if change != "equal"]
    return {line for start, end in spans for line in (range(start + 1, end + 1) or (start, start + 1))}


def _nearest(expression: str, lines: Sequence[str], first: int, last: int) -> Iterator[int]:
    if expression:
        found = [i for i, line in enumerate(lines, 1) if re.search(expression, line)]
        yield from sorted(i for i in found if i < first)[-1:]
        yield from sorted(i for i in found if i > last)[:1]


def _within(expression: str, lines: Sequence[str], inside: int) -> Iterator[int]:
    """The lines of the document around this one that hold an expression."""
    if expression:
        ends = [0, *(i for i, line in enumerate(lines, 1) if line.startswith("---")), len(lines) + 1]
        start = max(end for end in ends if end < inside)
        end = min(end for end in ends if end >= inside)
        yield from (i for i in range(start + 1, end) if re.search(expression, lines[i - 1]))


class Bench:
    """Copies of the models in a folder, of which one file at a time is spoilt."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[tuple[Path, str], set[Said]] = {}

    def seed(self, kind: Defect, site: Site) -> SeededDefect:
        model = self._folder / f"{site.model.parent.parent.name}-{site.model.name}"
        if not model.exists():
            shutil.copytree(site.model, model)
        text = texts()[site.model, site.file]
        before = self._before.get((model, kind.check))
        if before is None:
            before = self._before[model, kind.check] = self._judge(model, kind)
        changed, lines = apply_defect(kind, text, site.start)
        (model / site.file).write_text(changed)
        after = self._judge(model, kind)
        (model / site.file).write_text(text)
        known = {each[:2] for each in before}
        findings = [each for each in after if not each.unjudged]
        new = [
            each for each in findings if each[:2] not in known or (each not in before and each.line in lines)
        ]
        noticed = any(
            each.line in lines
            if Path(each.file) == model / site.file
            else _matches_line(kind.elsewhere, Path(each.file), each.line)
            for each in new
        )
        last = max(_find_changed_lines(text.splitlines(), changed.splitlines()))
        around = _find_component(changed.splitlines(), last)
        unjudged = any(
            each.unjudged and Path(each.file) == model / site.file and each.line in around for each in after
        )
        told = [f"{Path(each.file).name}:{each.line} {each.message}" for each in new]
        where = [] if noticed else [f"lines {sorted(lines)}"]
        return SeededDefect(kind, site, noticed, unjudged and not noticed, (*told, *where))

    def _judge(self, model: Path, kind: Defect) -> set[Said]:
        ended = judge_path(model, self._folder, select=kind.check)
        assert not ended.crashes, ended.crashes
        verdicts = (ended.report or {"verdicts": ()})["verdicts"]
        findings = [each for v in verdicts for each in v["findings"] if each["outcome"] in ("fail", "warn")]
        unjudged = [each for v in verdicts for each in v["unjudged"]]
        said = [(each, each["message"], False) for each in findings]
        said += [(each, f"{each['what']}: {each['why']}", True) for each in unjudged]
        return {
            Said(each["location"]["file"], message, each["location"]["line"], open_)
            for each, message, open_ in said
            if each["location"]
        }


def _find_component(lines: Sequence[str], inside: int) -> range:
    """The lines of the component around this one; of the document where there is none."""
    starts = [i for i, line in enumerate(lines, 1) if re.search(rf"{COMPONENT}|^---", line)]
    return range(
        max((start for start in starts if start <= inside), default=1),
        min((start for start in starts if start > inside), default=len(lines) + 1),
    )


def _matches_line(expression: str, file: Path, line: int | None) -> bool:
    return bool(expression and line and re.search(expression, file.read_text().splitlines()[line - 1]))


def seed_defects(
    folder: Path, seed: str, models: Sequence[Path], most: int = 1000, kinds: Sequence[Defect] = KINDS
) -> list[SeededDefect]:
    """Defects of these kinds, at a place of each of these models, and in so many of them at most."""
    bench = Bench(folder)
    found: list[SeededDefect] = []
    for kind in kinds:
        by_model = [(model, places) for model in models if (places := sites(kind, model))]
        chosen = Random(f"{seed}:{kind.name}").sample(by_model, min(most, len(by_model)))
        for model, places in chosen:
            site = Random(f"{seed}:{kind.name}:{model.name}").choice(places)
            found.append(bench.seed(kind, site))
    return found


def table(found: Sequence[SeededDefect]) -> str:
    """A row a kind: how many were made, noticed, and told to be beyond what is known."""
    rows = []
    for kind in KINDS:
        of_kind = [each for each in found if each.kind is kind]
        rows.append(f"{kind.name:<36} {kind.check:<50} {_count(of_kind)}")
    return "\n".join([*rows, f"{'all':<87} {_count(found)}"])


def _count(found: Sequence[SeededDefect]) -> str:
    noticed, unjudged = sum(each.noticed for each in found), sum(each.unjudged for each in found)
    return f"{noticed:>4} of {len(found)}" + f", {unjudged} unjudged" * bool(unjudged)
