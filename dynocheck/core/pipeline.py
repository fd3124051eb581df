"""The pipeline that decides verdicts: judge, suppress, weigh alternatives, link explanations.

Facts are gathered before it (`core.probing`), and the report is built after it (`core.report_builder`). Each
stage takes verdicts and returns verdicts; `_conclude` alone derives an outcome and a message from findings.
"""

import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from dynocheck.core.alternatives import find_alternatives, soften
from dynocheck.core.crashes import ADVICE, is_own
from dynocheck.core.declarations import Check
from dynocheck.core.explanations import link_explanations
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.outcomes import (
    Finding,
    Outcome,
    SuppressedFinding,
    Unjudged,
    Verdict,
    describe_suppressed,
    find_worst,
    summarize_findings,
)
from dynocheck.core.results import Results, collect_results
from dynocheck.core.sharing import map_shared
from dynocheck.facts import IgnoreUses, Recipes

Levels = Mapping[str, Outcome]  # by check id: the outcome of its warnings and failures
# Takes the id of a check and findings of it; None stands for a finding that counts.
Suppressor = Callable[[str, Sequence[Finding]], Sequence[SuppressedFinding | None]]

_MANY = 200  # objects; fewer are judged as fast without workers
_SUPPRESSIBLE = (Outcome.WARN, Outcome.FAIL)


class Comments(Protocol):
    """The ignore comments of some recipes."""

    def suppress(self, check: str, findings: Sequence[Finding]) -> Sequence[SuppressedFinding | None]: ...
    def list_uses(self, verdicts: Iterable[Verdict]) -> IgnoreUses: ...


class Suppressions(Protocol):
    """What the pipeline asks of `dynocheck.suppression`."""

    def read_comments(self, recipes: Recipes | None) -> Comments: ...
    def record_baseline(self, verdicts: Iterable[Verdict]) -> None: ...
    def list_suppressors(
        self, rejudge: Callable[[Recipes], Iterable[Verdict]]
    ) -> Iterable[Suppressor]: ...  # baseline, then --diff
    def accept_unjudged(self, verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]: ...


@dataclass(frozen=True)
class Pipeline:
    """Decides the verdicts of a run.

    :param alternatives: the graphs of a recipe are alternatives: a failure of one is a warning while another
        does not fail.
    :param limit_s: seconds for each custom check.
    """

    checks: Sequence[Check]
    levels: Levels
    suppressions: Suppressions
    alternatives: bool = False
    limit_s: float = 10.0

    def decide(self, knowledge: Knowledge) -> tuple[Verdict, ...]:
        """The verdicts, sorted by check. An interrupted run records no baseline."""
        verdicts = self._judge(knowledge)
        if not (knowledge.interrupted or knowledge.halted):
            self.suppressions.record_baseline(verdicts)
        for suppressor in self.suppressions.list_suppressors(
            lambda recipes: self._judge(_replace_recipes(knowledge, recipes))
        ):
            verdicts = _suppress(verdicts, suppressor)
        verdicts = self.suppressions.accept_unjudged(verdicts)
        if self.alternatives:
            verdicts = _weigh_alternatives(verdicts, _get_recipes(knowledge))
        explanations = {check.id: check.explained_by for check in self.checks}
        linked, faults = link_explanations(verdicts, explanations, self.limit_s)
        return tuple(_add_fault(v, faults[v.check]) if v.check in faults else v for v in linked)

    def _judge(self, knowledge: Knowledge) -> tuple[Verdict, ...]:
        """Judge without what comments suppress. The checks of the comments themselves come last."""
        comments = self.suppressions.read_comments(_get_recipes(knowledge))
        last = [check for check in self.checks if any(need.fact is IgnoreUses for need in check.needs)]
        first = [check for check in self.checks if check not in last]
        verdicts = _suppress(judge(first, knowledge, self.levels, self.limit_s), comments.suppress)
        knowledge.facts[IgnoreUses] = comments.list_uses(verdicts)
        verdicts += _suppress(judge(last, knowledge, self.levels, self.limit_s), comments.suppress)
        return tuple(sorted(verdicts, key=lambda verdict: verdict.check))


def judge(
    checks: Sequence[Check], knowledge: Knowledge, levels: Levels | None = None, limit_s: float = 10.0
) -> tuple[Verdict, ...]:
    """The verdict of each check, in the order of the checks; nothing is suppressed. Ctrl-C halts the judging:
    the checks that are left are unknown.
    """

    def decide(check: Check) -> Verdict:
        return _judge_check(check, knowledge, (levels or {}).get(check.id), limit_s)

    if not _is_large(knowledge):
        return tuple(map(decide, checks))
    shared = [check for check in checks if is_own(check.function)]  # a custom one has a child of its own
    try:
        verdicts = iter(map_shared(decide, shared, encode=pickle.dumps, decode=pickle.loads))
    except KeyboardInterrupt:  # between two checks
        knowledge.halted = True
        verdicts = map(decide, shared)
    return tuple(next(verdicts) if is_own(check.function) else decide(check) for check in checks)


def _is_large(knowledge: Knowledge) -> bool:
    """Whether judging takes long enough to be shared with other processes."""
    files = (file for recipe in _get_recipes(knowledge) or () for file in recipe.files)
    return sum(len(file.documents) for file in files) >= _MANY


def _collect_until_halted(check: Check, knowledge: Knowledge, limit_s: float) -> Results:
    if not knowledge.halted:
        try:
            return collect_results(check, knowledge.get_arguments(check), limit_s)
        except KeyboardInterrupt:
            knowledge.halted = True
    return Results(findings=[Finding(outcome=Outcome.UNKNOWN, message="interrupted before it was judged")])


def _judge_check(check: Check, knowledge: Knowledge, level: Outcome | None, limit_s: float) -> Verdict:
    start = time.perf_counter()
    if missing := knowledge.list_missing(check):
        results = Results(findings=[*_list_gaps(missing)])
    else:
        results = _collect_until_halted(check, knowledge, limit_s)
    findings = [_apply_level(finding, level) for finding in results.findings]
    judged = sum(each.count for each in results.counts)
    verdict = Verdict(
        check=check.id,
        title=check.title,
        area=check.area,
        outcome=Outcome.PASS,
        message=check.title,
        duration_s=round(time.perf_counter() - start, 6),
        judged=judged if results.counts else None,
        of=judged + len(results.unjudged) if results.counts else None,
        noun=results.counts[0].noun if results.counts else None,
        unjudged=tuple(results.unjudged),
    )
    return _conclude(verdict, findings, skip_reason=results.skip_reason)


def _conclude(
    verdict: Verdict,
    findings: Sequence[Finding],
    suppressed: Sequence[SuppressedFinding] = (),
    skip_reason: str | None = None,
) -> Verdict:
    """The verdict that these findings make."""
    if findings:
        outcome = find_worst(finding.outcome for finding in findings)
        message = summarize_findings(findings, outcome)
    elif verdict.unjudged and not verdict.judged:
        outcome, message = Outcome.UNJUDGED, _summarize_unjudged(verdict.unjudged)
    elif suppressed:
        outcome, message = Outcome.SKIP, "; ".join(describe_suppressed(suppressed))
    elif skip_reason is not None:
        outcome, message = Outcome.SKIP, skip_reason
    else:
        outcome, message = Outcome.PASS, verdict.title
    if verdict.coverage:
        message += f" ({verdict.coverage})"
    return replace(
        verdict, outcome=outcome, message=message, findings=tuple(findings), suppressed=tuple(suppressed)
    )


def _add_fault(verdict: Verdict, fault: str) -> Verdict:
    """The verdict of a custom check of which a part crashed."""
    crash = Finding(outcome=Outcome.ERROR, message=fault, fix=ADVICE)
    return _conclude(verdict, [*verdict.findings, crash], verdict.suppressed)


def _summarize_unjudged(unjudged: Sequence[Unjudged]) -> str:
    first = unjudged[0]
    more = f" (and {len(unjudged) - 1} more)" if len(unjudged) > 1 else ""
    return f"not judged: {first.what}: {first.why}{more}"


def _list_gaps(missing: Iterable[MissingFact]) -> Iterator[Finding]:
    """A finding for each reason why facts are missing."""
    for gap in {gap.reason: gap for gap in missing}.values():
        outcome = Outcome.ERROR if gap.crashed else Outcome.UNKNOWN
        yield Finding(outcome=outcome, message=gap.reason, fix=gap.fix)


def _apply_level(finding: Finding, level: Outcome | None) -> Finding:
    return (
        finding if level is None or finding.outcome not in _SUPPRESSIBLE else replace(finding, outcome=level)
    )


def _suppress(verdicts: Iterable[Verdict], suppressor: Suppressor) -> tuple[Verdict, ...]:
    """The verdicts without the warnings and failures that the suppressor takes out."""
    return tuple(_suppress_findings(verdict, suppressor) for verdict in verdicts)


def _suppress_findings(verdict: Verdict, suppressor: Suppressor) -> Verdict:
    candidates = [finding for finding in verdict.findings if finding.outcome in _SUPPRESSIBLE]
    results = suppressor(verdict.check, candidates)
    if not any(results):
        return verdict
    taken = iter(results)
    kept = [f for f in verdict.findings if f.outcome not in _SUPPRESSIBLE or next(taken) is None]
    return _conclude(verdict, kept, [*verdict.suppressed, *filter(None, results)])


def _weigh_alternatives(verdicts: Sequence[Verdict], recipes: Recipes | None) -> tuple[Verdict, ...]:
    """The verdicts, with a graph's failures as warnings where another graph of its recipe does not fail."""
    alternatives = find_alternatives(verdicts, recipes or ())
    softened = (
        (verdict, [soften(finding, alternatives) for finding in verdict.findings]) for verdict in verdicts
    )
    return tuple(
        verdict if tuple(findings) == verdict.findings else _conclude(verdict, findings, verdict.suppressed)
        for verdict, findings in softened
    )


def _get_recipes(knowledge: Knowledge) -> Recipes | None:
    recipes = knowledge.facts.get(Recipes)
    return recipes if isinstance(recipes, Recipes) else None


def _replace_recipes(knowledge: Knowledge, recipes: Recipes) -> Knowledge:
    return Knowledge({**knowledge.facts, Recipes: recipes}, dict(knowledge.missing))
