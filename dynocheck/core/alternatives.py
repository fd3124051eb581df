"""The graphs of a recipe as alternatives: what one lacks matters less where another lacks nothing."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from dynocheck.core.outcomes import Finding, Outcome, Verdict
from dynocheck.facts import Recipe


def find_alternatives(verdicts: Iterable[Verdict], recipes: Iterable[Recipe]) -> dict[str, str]:
    """The files of failing graphs, each with the names of the graphs of its recipe that do not fail.

    A graph fails when a failure lies in its file. A failure elsewhere, as in a claim that all graphs share,
    is no graph's.
    """
    failing = {
        finding.location.file
        for verdict in verdicts
        for finding in verdict.findings
        if finding.outcome is Outcome.FAIL and finding.location is not None
    }
    alternatives: dict[str, str] = {}
    for recipe in recipes:
        if fitting := sorted({graph.name for graph in recipe.graphs if graph.file not in failing}):
            names = ", ".join(fitting)
            alternatives |= {graph.file: names for graph in recipe.graphs if graph.file in failing}
    return alternatives


def soften(finding: Finding, alternatives: Mapping[str, str]) -> Finding:
    """A failure of a graph that has alternatives as a warning; any other finding as it is."""
    file = finding.location.file if finding.location is not None else ""
    if finding.outcome is not Outcome.FAIL or file not in alternatives:
        return finding
    message = f"{finding.message} (of the same recipe, {alternatives[file]} fits)"
    return replace(finding, outcome=Outcome.WARN, message=message)
