"""What was found at a git revision already: the recipes of then, judged as those of now."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from dynocheck.core.outcomes import Finding, Suppressed, Verdict
from dynocheck.facts import Recipes
from dynocheck.facts.recipe.recipes import Recipe
from dynocheck.recipe.blocks import touched
from dynocheck.suppression import git as changes
from dynocheck.suppression.baseline import Print, fingerprint
from dynocheck.suppression.git import Changes

_CACHE = "model-cache"  # the folder whose claims and downloads variants share


class Before:
    """Puts aside what was found before the change too, where nothing of its place was touched."""

    def __init__(self, revision: str, paths: Sequence[str]) -> None:
        """:raises UsageError: there is no such revision of these paths."""
        self._revision = revision
        self._paths = paths
        self._changes = changes.since(revision, paths, _CACHE)
        self._old: Counter[Print] = Counter()

    def learn(self, judge: Callable[[Recipes], Iterable[Verdict]]) -> None:
        """Judge the recipes of then."""
        self._old = _prints(self._changes, self._paths, judge)

    def why(self, verdict: Verdict, finding: Finding) -> Suppressed | None:
        found = fingerprint(verdict.check, finding, str(self._changes.top))
        if self._old[found] < 1 or self._touched(finding):
            return None
        self._old[found] -= 1
        return Suppressed(by="diff", reason=self._revision, finding=finding)

    def _touched(self, finding: Finding) -> bool:
        place = finding.location
        file = os.path.realpath(place.file) if place else ""
        if place is None or file not in self._changes.lines:
            return place is not None and not Path(file).exists()  # its name was made harmless
        lines = self._changes.lines[file]
        return lines is None or place.line is None or touched(_text(file), place.line, lines)


def _prints(
    changes: Changes, paths: Sequence[str], judge: Callable[[Recipes], Iterable[Verdict]]
) -> Counter[Print]:
    """What the findings in the recipes of then are told by."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder).resolve()
        changes.restore(top)
        now = {str(top / inside): path for inside, path in zip(changes.paths, paths, strict=True)}
        verdicts = judge(Recipes(tuple(recipe for old in now for recipe in _loaded(old))))
        return Counter(
            fingerprint(verdict.check, _renamed(finding, now), str(top))
            for verdict in verdicts
            for finding in verdict.findings
        )


def _loaded(path: str) -> tuple[Recipe, ...]:
    from dynocheck.recipe.discover import NotARecipe, load

    try:
        return load([path])
    except NotARecipe:
        return ()  # it was none then: all of it is new


def _renamed(finding: Finding, now: Mapping[str, str]) -> Finding:
    """The finding, with the paths of today in what it says."""
    message = finding.message
    for old, path in now.items():
        message = message.replace(old, path.rstrip("/"))
    return msgspec.structs.replace(finding, message=message)


def _text(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
