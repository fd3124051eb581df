"""The suppressions of a run, as the pipeline asks for them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from dynocheck.core.declarations import Check
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.core.outcomes import Finding, SuppressedFinding, Table, Verdict
from dynocheck.core.pipeline import Suppressor
from dynocheck.core.trust import ONLY_OPERATOR, Trust
from dynocheck.facts import Recipes
from dynocheck.suppression.baseline import read_baseline, write_baseline
from dynocheck.suppression.inline import InlineComments

_NO_TREE = Trust()


class Suppressions:
    """Inline comments, a baseline and a git revision. Files and revision are read before any probe runs.

    :param checks: every registered check, which the patterns of comments may match.
    :param paths: the recipes of the run.
    :param load_recipes: reads the recipes at a path of the old revision.
    :param trust: what comments and a baseline in the judged tree may silence.
    :raises UsageError: the baseline or the revision cannot be used.
    """

    def __init__(
        self,
        options: CommonOptions,
        checks: Sequence[Check],
        paths: Sequence[str] = (),
        load_recipes: Callable[[str], Recipes] = lambda path: Recipes(),
        trust: Trust = _NO_TREE,
    ) -> None:
        if options.baseline and options.write_baseline:
            raise UsageError("--baseline and --write-baseline: give only one")
        self._checks = checks
        self._paths = paths
        self._load_recipes = load_recipes
        self._trust = trust
        self._comments: InlineComments | None = None
        self._refused: Counter[str] = Counter()
        self._target = Path(options.write_baseline) if options.write_baseline else None
        self._baseline = read_baseline(Path(options.baseline)) if options.baseline else None
        self._diff = None
        if options.diff is not None:
            from dynocheck.suppression.git_diff import GitDiffFilter  # few runs need it

            self._diff = GitDiffFilter(options.diff, paths)

    def read_comments(self, recipes: Recipes | None) -> InlineComments:
        """The ignore comments of these recipes."""
        comments = InlineComments(recipes, self._checks, self._trust)
        self._comments = self._comments or comments  # those of an old revision come later
        return comments

    def record_baseline(self, verdicts: Iterable[Verdict]) -> None:
        """With --write-baseline, write the findings to the file, and use it as the baseline of this run."""
        if self._target is not None:
            write_baseline(self._target, verdicts)
            self._baseline = read_baseline(self._target)

    def list_suppressors(self, rejudge: Callable[[Recipes], Iterable[Verdict]]) -> Iterator[Suppressor]:
        """The baseline's suppressor, then that of --diff.

        :param rejudge: judges other recipes by the same checks.
        """
        if self._baseline is not None:
            yield self._suppress_by_baseline
        if self._diff is not None:
            self._diff.judge_old_recipes(self._load_recipes, rejudge)
            yield self._diff.suppress

    def accept_unjudged(self, verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
        """The verdicts, with what was not judged accepted where the baseline or the revision has it."""
        if self._baseline is not None:
            verdicts = map(self._baseline.accept, verdicts)
        if self._diff is not None:
            verdicts = map(self._diff.accept, verdicts)
        return tuple(verdicts)

    def _suppress_by_baseline(
        self, check: str, findings: Sequence[Finding]
    ) -> Sequence[SuppressedFinding | None]:
        """A baseline in the judged tree silences no protected check."""
        assert self._baseline is not None
        suppressed = self._baseline.suppress(check, findings)
        if not (self._trust.protects(check) and self._trust.contains(str(self._baseline.path))):
            return suppressed
        self._refused[check] += sum(each is not None for each in suppressed)
        return [None] * len(suppressed)

    def describe_refused(self) -> list[str]:
        """What in the judged tree would silence findings and does not."""
        refused = self._comments.list_refused() if self._comments else []
        path = self._baseline.path if self._baseline else None
        return refused + [
            f"{path}: {count} of {check} not applied: {ONLY_OPERATOR}"
            for check, count in self._refused.items()
            if count
        ]

    def build_tables(self, verdicts: Iterable[Verdict]) -> tuple[Table, ...]:
        """A table of the baseline's stale findings, if it has any."""
        rows = tuple(self._baseline.find_stale(verdicts, self._paths)) if self._baseline else ()
        columns = ("check", "where", "finding")
        title = "Baseline findings that no longer occur"
        return (Table(id="baseline.gone", title=title, columns=columns, rows=rows),) if rows else ()
