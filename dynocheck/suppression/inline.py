"""Comments by which people put findings aside: whether each means something, and did something."""

from collections.abc import Iterable, Sequence

from dynocheck.core.outcomes import Finding, Outcome, SuppressedFinding, Verdict
from dynocheck.core.registry import Check
from dynocheck.facts import Recipes
from dynocheck.facts.recipe.inline_suppressions import IgnoreComment
from dynocheck.facts.recipe.recipes import IgnoreUse, IgnoreUses

_COULD_NOT_JUDGE = (Outcome.UNKNOWN, Outcome.ERROR)


class InlineSuppressions:
    """Every comment of the recipes, and which of them have put a finding aside so far.

    :param checks: all that exist, by which an id or glob means something.
    """

    def __init__(self, recipes: Recipes | None, checks: Sequence[Check]) -> None:
        found = (ignore for recipe in recipes or () for ignore in recipe.ignores)
        self._ignores = list(dict.fromkeys(found))
        self._checks = checks
        self._used: set[tuple[IgnoreComment, str]] = set()
        self._meanings: dict[str, set[str]] = {}

    def suppress(self, verdict: Verdict, finding: Finding) -> SuppressedFinding | None:
        """The comment by which this finding does not count, if there is one."""
        place = finding.location
        if place is None:
            return None
        for ignore in self._ignores:
            if ignore.covers(place.file, place.line):
                for pattern in ignore.patterns:
                    if verdict.check in self._resolve_pattern(pattern):
                        self._used.add((ignore, pattern))
                        return SuppressedFinding(by="comment", reason=ignore.reason, finding=finding)
        return None

    def list_uses(self, verdicts: Iterable[Verdict]) -> IgnoreUses:
        """What became of each, once these are all the verdicts."""
        judged = {verdict.check for verdict in verdicts if verdict.outcome not in _COULD_NOT_JUDGE}
        return IgnoreUses(
            tuple(
                self._build_use(each, pattern, judged) for each in self._ignores for pattern in each.patterns
            )
        )

    def _build_use(self, ignore: IgnoreComment, pattern: str, judged: set[str]) -> IgnoreUse:
        meant = self._resolve_pattern(pattern)
        used = (ignore, pattern) in self._used
        return IgnoreUse(ignore, pattern, known=bool(meant), used=used if used or meant <= judged else None)

    def _resolve_pattern(self, pattern: str) -> set[str]:
        if pattern not in self._meanings:
            self._meanings[pattern] = {check.id for check in self._checks if check.matches(pattern)}
        return self._meanings[pattern]
