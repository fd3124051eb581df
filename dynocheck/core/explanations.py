"""Findings that explain others: one cause is reported once, with its consequences below it.

A check declares which checks explain its findings, each with a relation: a function of the explaining
finding and the explained one. Only a finding about the same file, or about none, explains another. What could
not be looked at follows from the first finding with the same reason, as when no server answers.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from dynocheck.core.bounded import run_bounded
from dynocheck.core.crashes import is_own
from dynocheck.core.errors import PluginError
from dynocheck.core.outcomes import Finding, FindingRef, Outcome, Verdict

Relation = Callable[[Finding, Finding], bool]
Explanations = Mapping[str, Relation]  # by the id of the explaining check
_ByFile = Mapping[str | None, Sequence[tuple[FindingRef, Finding]]]

_PROBLEMS = (Outcome.WARN, Outcome.FAIL)


def anywhere(cause: Finding, effect: Finding) -> bool:
    """Always: the cause concerns the whole cluster."""
    return True


def same_place(cause: Finding, effect: Finding) -> bool:
    """Both are about the same object, or the same line of a file."""
    if cause.location is not None and effect.location is not None:
        return (cause.location.file, cause.location.line) == (effect.location.file, effect.location.line)
    return cause.subject is not None and cause.subject == effect.subject


def mentions(key: str) -> Relation:
    """The explained finding's message contains what the cause's evidence has under this key."""

    def is_mentioned(cause: Finding, effect: Finding) -> bool:
        return bool(cause.evidence.get(key)) and str(cause.evidence[key]) in effect.message

    return is_mentioned


def link_explanations(
    verdicts: Sequence[Verdict], explanations: Mapping[str, Explanations], limit_s: float = 10.0
) -> tuple[tuple[Verdict, ...], Mapping[str, str]]:
    """The verdicts, with a reference from each explained finding to the first that explains it; and what is
    wrong with the relations of custom checks, by their ids.

    :param explanations: by the id of the explained check.
    :param limit_s: seconds for the relations of each custom check, which run in a child of this process.
    """
    explaining = {check for relations in explanations.values() for check in relations}
    causes = {v.check: _index_by_file(v) for v in verdicts if v.check in explaining}
    reasons: dict[str, FindingRef] = {}
    faults: dict[str, str] = {}

    def find(verdict: Verdict, index: int, relations: Explanations) -> FindingRef | None:
        finding = verdict.findings[index]
        if finding.outcome is not Outcome.UNKNOWN:
            return _find_cause(finding, relations, causes)
        if finding.subject is not None or finding.location is not None:
            return None
        own = FindingRef(verdict.check, index)
        first = reasons.setdefault(finding.message, own)
        return first if first is not own else None

    def link(verdict: Verdict) -> Verdict:
        relations = explanations.get(verdict.check, {})
        own = all(map(is_own, relations.values()))
        found = [find(verdict, i, relations if own else {}) for i in range(len(verdict.findings))]
        if not own:
            try:
                found = _find_bounded(verdict, relations, causes, found, limit_s)
            except PluginError as error:
                faults[verdict.check] = f"its explained_by {error}"
        if not any(found):
            return verdict
        pairs = zip(verdict.findings, found, strict=True)
        return replace(
            verdict, findings=tuple(replace(finding, explained_by=cause) for finding, cause in pairs)
        )

    return tuple(link(verdict) for verdict in verdicts), faults


def _find_bounded(
    verdict: Verdict,
    relations: Explanations,
    causes: Mapping[str, _ByFile],
    known: Sequence[FindingRef | None],
    limit_s: float,
) -> list[FindingRef | None]:
    """The causes of the findings of a custom check, whose relations may hang or end the process.

    :param known: those that are known without its relations.
    :raises PluginError: they did.
    """

    def find() -> bytes:
        pairs = zip(verdict.findings, known, strict=True)
        return msgspec.json.encode([ref or _find_cause(each, relations, causes) for each, ref in pairs])

    return msgspec.json.decode(run_bounded(find, limit_s), type=list[FindingRef | None])


def _index_by_file(verdict: Verdict) -> _ByFile:
    """The warnings and failures by the file that they are about, None for none."""
    by_file: dict[str | None, list[tuple[FindingRef, Finding]]] = {}
    for index, finding in enumerate(verdict.findings):
        if finding.outcome in _PROBLEMS:
            by_file.setdefault(_get_file(finding), []).append((FindingRef(verdict.check, index), finding))
    return by_file


def _find_cause(effect: Finding, relations: Explanations, causes: Mapping[str, _ByFile]) -> FindingRef | None:
    """The first finding that explains this one: about the same file, or about none."""
    if effect.outcome not in _PROBLEMS:
        return None
    for check, explains in relations.items():
        by_file = causes.get(check, {})
        for file in dict.fromkeys((_get_file(effect), None)):
            for ref, cause in by_file.get(file, ()):
                if _holds(explains, cause, effect):
                    return ref
    return None


def _holds(relation: Relation, cause: Finding, effect: Finding) -> bool:
    """Whether a relation holds; one of a custom check that raises an exception explains nothing."""
    try:
        return bool(relation(cause, effect))
    except Exception:
        return False


def _get_file(finding: Finding) -> str | None:
    return finding.location.file if finding.location is not None else None
