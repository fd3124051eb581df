"""The suppressions of a run, as the pipeline asks for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from dynocheck.core.declarations import Check
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.core.outcomes import Table, Verdict
from dynocheck.core.pipeline import Suppressor
from dynocheck.facts import Recipes
from dynocheck.suppression.baseline import read_baseline, write_baseline
from dynocheck.suppression.inline import InlineComments


class Suppressions:
    """Inline comments, a baseline and a git revision. Files and revision are read before any probe runs.

    :param checks: every registered check, which the patterns of comments may match.
    :param paths: the recipes of the run.
    :param load_recipes: reads the recipes at a path of the old revision.
    :raises UsageError: the baseline or the revision cannot be used.
    """

    def __init__(
        self,
        options: CommonOptions,
        checks: Sequence[Check],
        paths: Sequence[str] = (),
        load_recipes: Callable[[str], Recipes] = lambda path: Recipes(),
    ) -> None:
        if options.baseline and options.write_baseline:
            raise UsageError("--baseline and --write-baseline: give only one")
        self._checks = checks
        self._paths = paths
        self._load_recipes = load_recipes
        self._target = Path(options.write_baseline) if options.write_baseline else None
        self._baseline = read_baseline(Path(options.baseline)) if options.baseline else None
        self._diff = None
        if options.diff is not None:
            from dynocheck.suppression.git_diff import GitDiffFilter  # few runs need it

            self._diff = GitDiffFilter(options.diff, paths)

    def read_comments(self, recipes: Recipes | None) -> InlineComments:
        """The ignore comments of these recipes."""
        return InlineComments(recipes, self._checks)

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
            yield self._baseline.suppress
        if self._diff is not None:
            self._diff.judge_old_recipes(self._load_recipes, rejudge)
            yield self._diff.suppress

    def build_tables(self, verdicts: Iterable[Verdict]) -> tuple[Table, ...]:
        """A table of the baseline's stale findings, if it has any."""
        rows = tuple(self._baseline.find_stale(verdicts, self._paths)) if self._baseline else ()
        columns = ("check", "where", "finding")
        title = "Baseline findings that no longer occur"
        return (Table(id="baseline.gone", title=title, columns=columns, rows=rows),) if rows else ()
