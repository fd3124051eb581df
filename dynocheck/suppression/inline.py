"""Suppresses findings by the ignore comments of recipes, and keeps account of which comments were used."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from dynocheck.core.declarations import Check
from dynocheck.core.outcomes import Finding, Location, SuppressedFinding, Verdict
from dynocheck.core.trust import ONLY_OPERATOR, Trust
from dynocheck.facts import IgnoreComment, IgnoreUse, IgnoreUses, Recipes
from dynocheck.suppression.baseline import list_judged


class InlineComments:
    """The ignore comments of some recipes, and which of them have suppressed a finding so far.

    :param checks: every registered check, which the patterns of comments may match.
    :param trust: what comments may silence.
    """

    def __init__(self, recipes: Recipes | None, checks: Sequence[Check], trust: Trust) -> None:
        self._comments = list(
            dict.fromkeys(comment for recipe in recipes or () for comment in recipe.ignores)
        )
        self._by_file: dict[str, list[IgnoreComment]] = defaultdict(list)
        for comment in self._comments:
            self._by_file[comment.file].append(comment)
        self._checks = checks
        self._trust = trust
        self._refused: set[tuple[IgnoreComment, str]] = set()  # with the check that each would silence
        self._used: set[tuple[IgnoreComment, str]] = set()
        self._matches: dict[str, set[str]] = {}

    def suppress(self, check: str, findings: Sequence[Finding]) -> list[SuppressedFinding | None]:
        """Each finding of a check as suppressed by a comment at its place, if there is one."""
        return [self._suppress_finding(check, finding) for finding in findings]

    def _suppress_finding(self, check: str, finding: Finding) -> SuppressedFinding | None:
        place = finding.location
        if place is None:
            return None
        for comment in self._by_file.get(place.file, ()):
            if comment.covers(place.file, place.line):
                for pattern in comment.patterns:
                    if check not in self._match(pattern):
                        continue
                    if self._trust.isolated or self._trust.protects(check):
                        self._refused.add((comment, check))
                        return None
                    self._used.add((comment, pattern))
                    by = Location(comment.file, comment.line, comment.column)
                    return SuppressedFinding(by="comment", reason=comment.reason, finding=finding, place=by)
        return None

    def list_refused(self) -> list[str]:
        """The comments that silence nothing, because they lie in the judged tree."""
        why = "--isolated" if self._trust.isolated else ONLY_OPERATOR
        places = sorted((c.file, c.line, check) for c, check in self._refused)
        return [f"{file}:{line}: ignore[{check}] not applied: {why}" for file, line, check in places]

    def list_uses(self, verdicts: Iterable[Verdict]) -> IgnoreUses:
        """The use of each pattern of each comment, once these are all the verdicts."""
        judged = list_judged(verdicts)
        return IgnoreUses(
            tuple(
                self._build_use(comment, pattern, judged)
                for comment in self._comments
                for pattern in comment.patterns
            )
        )

    def _build_use(self, comment: IgnoreComment, pattern: str, judged: set[str]) -> IgnoreUse:
        matched = self._match(pattern)
        used = (comment, pattern) in self._used
        refused = any((comment, check) in self._refused for check in matched)
        known = used or (matched <= judged and not refused)
        return IgnoreUse(comment, pattern, known=bool(matched), used=used if known else None)

    def _match(self, pattern: str) -> set[str]:
        """The ids of the checks that a pattern matches."""
        if pattern not in self._matches:
            self._matches[pattern] = {check.id for check in self._checks if check.matches(pattern)}
        return self._matches[pattern]
