"""The graphs of a recipe are alternatives: what one lacks matters less where another lacks nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from dynocheck.core.outcomes import Finding, Outcome, Verdict, find_worst, summarize_findings
from dynocheck.facts.recipe.recipes import Recipe


def downgrade_alternatives(verdicts: Sequence[Verdict], recipes: Iterable[Recipe]) -> tuple[Verdict, ...]:
    """The verdicts, with what fails of one graph as a warning where another of its recipe fails nowhere.

    A failure is of a graph when it lies in the file of the graph. What lies elsewhere, as in a claim that
    all of them share, stays a failure.
    """
    instead = dict(_find_alternatives(verdicts, recipes))
    return tuple(
        _replace_findings(verdict, tuple(_downgrade(finding, instead) for finding in verdict.findings))
        for verdict in verdicts
    )


def _find_alternatives(verdicts: Sequence[Verdict], recipes: Iterable[Recipe]) -> Iterator[tuple[str, str]]:
    """The files whose graphs fail, each with the graphs to take in their stead."""
    failing = {
        finding.location.file
        for verdict in verdicts
        for finding in verdict.findings
        if finding.outcome is Outcome.FAIL and finding.location is not None
    }
    for recipe in recipes:
        fitting = sorted({graph.name for graph in recipe.graphs if graph.file not in failing})
        if fitting:
            yield from ((graph.file, ", ".join(fitting)) for graph in recipe.graphs if graph.file in failing)


def _downgrade(finding: Finding, instead: Mapping[str, str]) -> Finding:
    place = finding.location.file if finding.location is not None else ""
    if finding.outcome is not Outcome.FAIL or place not in instead:
        return finding
    return replace(
        finding,
        outcome=Outcome.WARN,
        message=f"{finding.message} (of the same recipe, {instead[place]} fits)",
    )


def _replace_findings(verdict: Verdict, findings: tuple[Finding, ...]) -> Verdict:
    if findings == verdict.findings:
        return verdict
    outcome = find_worst(finding.outcome for finding in findings)
    return replace(verdict, outcome=outcome, message=summarize_findings(findings, outcome), findings=findings)
