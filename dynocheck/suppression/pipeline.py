"""What of the findings of a run does not count: what a comment, a baseline or a revision puts aside."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dynocheck.core import runner
from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Table, Verdict
from dynocheck.core.registry import Check
from dynocheck.core.runner import Knowledge
from dynocheck.facts import Recipes
from dynocheck.facts.recipe.recipes import IgnoreUses
from dynocheck.suppression import baseline
from dynocheck.suppression.inline import InlineSuppressions
from dynocheck.suppression.verdicts import apply_suppression

if TYPE_CHECKING:
    from dynocheck.suppression.git_diff import GitDiffFilter

JudgeFunction = Callable[[Sequence[Check], Knowledge], tuple[Verdict, ...]]


@dataclass(frozen=True)
class SuppressionOptions:
    """What the command line says of it: files of baselines to read or to write, and a revision."""

    read: str | None = None
    write: str | None = None
    since: str | None = None


class SuppressionPipeline:
    """What is put aside in one run, read before anything is looked at.

    :param paths: the recipes of the run.
    :raises UsageError: a baseline or a revision cannot be used.
    """

    def __init__(self, wanted: SuppressionOptions, paths: Sequence[str]) -> None:
        if wanted.read and wanted.write:
            raise UsageError("--baseline reads a file and --write-baseline makes one: give one of them")
        self._wanted = wanted
        self._paths = paths
        self._baseline = baseline.read(Path(wanted.read)) if wanted.read else None
        self._before = _load_git_diff(wanted.since, paths) if wanted.since is not None else None

    def evaluate(
        self, checks: Sequence[Check], known: Knowledge, judge: JudgeFunction
    ) -> tuple[Verdict, ...]:
        """The verdicts on what counts. A baseline is not written of a run that was interrupted."""
        verdicts = judge(checks, known)
        if self._wanted.write and not known.interrupted:
            path = Path(self._wanted.write)
            baseline.write(path, verdicts)
            self._baseline = baseline.read(path)
        if self._baseline:
            verdicts = apply_suppression(verdicts, self._baseline.suppress)
        if self._before:
            self._before.judge_old_recipes(lambda recipes: judge(checks, _replace_recipes(known, recipes)))
            verdicts = apply_suppression(verdicts, self._before.suppress)
        return verdicts

    def build_tables(self, verdicts: Iterable[Verdict]) -> tuple[Table, ...]:
        """What the baseline could do without, when there is such a thing."""
        rows = list(self._baseline.find_stale(verdicts, self._paths)) if self._baseline else []
        if not rows:
            return ()
        columns = ("check", "where", "finding")
        title = "Gone, and still in the baseline"
        return (Table(id="baseline.gone", title=title, columns=columns, rows=tuple(rows)),)


def judge_with_comments(
    every: Sequence[Check], levels: runner.Levels, checks: Sequence[Check], known: Knowledge
) -> tuple[Verdict, ...]:
    """The verdicts in the order of the checks, without what comments put aside. What judges those comments
    comes last.

    :param every: all checks that there are, by which a comment means something.
    """
    recipes = known.facts.get(Recipes)
    comments = InlineSuppressions(recipes if isinstance(recipes, Recipes) else None, every)
    last = [check for check in checks if any(need.fact is IgnoreUses for need in check.needs)]
    first = [check for check in checks if check not in last]
    verdicts = apply_suppression(runner.judge(first, known, levels), comments.suppress)
    known.facts[IgnoreUses] = comments.list_uses(verdicts)
    verdicts += apply_suppression(runner.judge(last, known, levels), comments.suppress)
    return tuple(sorted(verdicts, key=lambda verdict: verdict.check))


def _load_git_diff(revision: str, paths: Sequence[str]) -> "GitDiffFilter":
    from dynocheck.suppression.git_diff import GitDiffFilter  # git and what it needs, which few runs ask for

    return GitDiffFilter(revision, paths)


def _replace_recipes(known: Knowledge, recipes: Recipes) -> Knowledge:
    return Knowledge({**known.facts, Recipes: recipes}, dict(known.missing))
