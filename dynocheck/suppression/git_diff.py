"""Suppresses findings that the recipes of a git revision have too, and accepts what was not judged there."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from dynocheck.core.files import RENDERED
from dynocheck.core.fingerprints import Fingerprints
from dynocheck.core.outcomes import DIFF, Finding, SuppressedFinding, Verdict
from dynocheck.facts import Recipe, Recipes
from dynocheck.suppression.git import find_changes
from dynocheck.suppression.known_findings import KnownFindings, accept_unjudged, to_finding
from dynocheck.suppression.yaml_blocks import is_block_changed

_CACHE = "model-cache"  # the folder of the claims and downloads that variants share


class GitDiffFilter:
    """Suppresses findings that the revision has too, unless a line of their block changed since."""

    def __init__(self, revision: str, paths: Sequence[str]) -> None:
        """:raises UsageError: these paths have no such revision."""
        self._revision = revision
        self._paths = paths
        self._changes = find_changes(revision, paths, _CACHE)
        self._old = KnownFindings(str(self._changes.top), {})

    def judge_old_recipes(
        self, load: Callable[[str], Iterable[Recipe]], judge: Callable[[Recipes], Iterable[Verdict]]
    ) -> None:
        """Judge the recipes of the revision, in a temporary folder.

        :param load: the recipes at a path; none when there was no recipe then.
        """
        with tempfile.TemporaryDirectory() as folder:
            top = Path(folder).resolve()
            self._changes.restore(top)
            new_paths = {
                str(top / inside): path for inside, path in zip(self._changes.paths, self._paths, strict=True)
            }
            verdicts = judge(Recipes(tuple(recipe for old in new_paths for recipe in load(old))))
            fingerprints = Fingerprints(str(top))
            counts = Counter(
                fingerprints.compute(verdict.check, _replace_paths(finding, new_paths))
                for verdict in verdicts
                for finding in (*verdict.findings, *map(to_finding, verdict.unjudged))
            )
        self._old = KnownFindings(str(self._changes.top), counts)

    def suppress(self, check: str, findings: Sequence[Finding]) -> list[SuppressedFinding | None]:
        """Each finding of a check as suppressed by the revision, as often as it occurs there."""
        changed = [self._is_changed(finding) for finding in findings]
        known = iter(
            self._old.recognize(check, [f for f, new in zip(findings, changed, strict=True) if not new])
        )
        return [
            None
            if new or not next(known)
            else SuppressedFinding(by="diff", reason=self._revision, finding=finding)
            for finding, new in zip(findings, changed, strict=True)
        ]

    def accept(self, verdict: Verdict) -> Verdict:
        """The verdict, with what was not judged accepted as findings are suppressed."""
        known = self.suppress(verdict.check, [*map(to_finding, verdict.unjudged)])
        return accept_unjudged(verdict, known, f"{DIFF}{self._revision}")

    def _is_changed(self, finding: Finding) -> bool:
        place = finding.location
        file = os.path.realpath(place.file) if place else ""
        if place is None or file not in self._changes.lines:
            if file.endswith(RENDERED):  # no file, but told of under the same path before
                return False
            return place is not None and not Path(file).exists()  # its name was sanitized
        lines = self._changes.lines[file]
        return lines is None or place.line is None or is_block_changed(_read_lines(file), place.line, lines)


def _replace_paths(finding: Finding, new_paths: Mapping[str, str]) -> Finding:
    """The finding, with the current paths in its message."""
    message = finding.message
    for old, path in new_paths.items():
        message = message.replace(old, path.rstrip("/"))
    return msgspec.structs.replace(finding, message=message)


def _read_lines(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
