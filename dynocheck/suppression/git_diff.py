"""What was found at a git revision already: the recipes of then, judged as those of now."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from dynocheck.core.outcomes import Finding, SuppressedFinding, Verdict
from dynocheck.facts import Recipes
from dynocheck.facts.recipe.recipes import Recipe
from dynocheck.recipe.blocks import is_block_changed
from dynocheck.suppression import git as changes
from dynocheck.suppression.baseline import Fingerprint, compute_fingerprint
from dynocheck.suppression.git import GitChanges

_CACHE = "model-cache"  # the folder whose claims and downloads variants share


class GitDiffFilter:
    """Puts aside what was found before the change too, where nothing of its place was touched."""

    def __init__(self, revision: str, paths: Sequence[str]) -> None:
        """:raises UsageError: there is no such revision of these paths."""
        self._revision = revision
        self._paths = paths
        self._changes = changes.find_changes(revision, paths, _CACHE)
        self._old: Counter[Fingerprint] = Counter()

    def judge_old_recipes(self, judge: Callable[[Recipes], Iterable[Verdict]]) -> None:
        """Judge the recipes of then."""
        self._old = _fingerprint_findings(self._changes, self._paths, judge)

    def suppress(self, verdict: Verdict, finding: Finding) -> SuppressedFinding | None:
        found = compute_fingerprint(verdict.check, finding, str(self._changes.top))
        if self._old[found] < 1 or self._is_touched(finding):
            return None
        self._old[found] -= 1
        return SuppressedFinding(by="diff", reason=self._revision, finding=finding)

    def _is_touched(self, finding: Finding) -> bool:
        place = finding.location
        file = os.path.realpath(place.file) if place else ""
        if place is None or file not in self._changes.lines:
            return place is not None and not Path(file).exists()  # its name was made harmless
        lines = self._changes.lines[file]
        return lines is None or place.line is None or is_block_changed(_read_lines(file), place.line, lines)


def _fingerprint_findings(
    changes: GitChanges, paths: Sequence[str], judge: Callable[[Recipes], Iterable[Verdict]]
) -> Counter[Fingerprint]:
    """What the findings in the recipes of then are told by."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        changes.restore(top)
        now = {str(top / inside): path for inside, path in zip(changes.paths, paths, strict=True)}
        verdicts = judge(Recipes(tuple(recipe for old in now for recipe in _load_recipes(old))))
        return Counter(
            compute_fingerprint(verdict.check, _replace_paths(finding, now), str(top))
            for verdict in verdicts
            for finding in verdict.findings
        )


def _load_recipes(path: str) -> tuple[Recipe, ...]:
    from dynocheck.recipe.discover import NotARecipe, load_recipes

    try:
        return load_recipes([path])
    except NotARecipe:
        return ()  # it was none then: all of it is new


def _replace_paths(finding: Finding, now: Mapping[str, str]) -> Finding:
    """The finding, with the paths of today in what it says."""
    message = finding.message
    for old, path in now.items():
        message = message.replace(old, path.rstrip("/"))
    return msgspec.structs.replace(finding, message=message)


def _read_lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
