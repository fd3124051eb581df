"""Findings that explain others: one cause is reported once, with its consequences below it.

A check declares which checks explain its findings, each with a relation: a function of the explaining
finding and the explained one. Only a finding about the same file, or about none, explains another.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from dynocheck.core.outcomes import Finding, FindingRef, Outcome, Verdict

Relation = Callable[[Finding, Finding], bool]
Explanations = Mapping[str, Relation]  # by the id of the explaining check

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
    verdicts: Sequence[Verdict], explanations: Mapping[str, Explanations]
) -> tuple[Verdict, ...]:
    """The verdicts, with a reference from each explained finding to the first that explains it.

    :param explanations: by the id of the explained check.
    """
    explaining = {check for relations in explanations.values() for check in relations}
    causes = {v.check: _index_by_file(v) for v in verdicts if v.check in explaining}

    def link(verdict: Verdict) -> Verdict:
        relations = explanations.get(verdict.check, {})
        found = [_find_cause(finding, relations, causes) for finding in verdict.findings]
        if not any(found):
            return verdict
        pairs = zip(verdict.findings, found, strict=True)
        return replace(
            verdict, findings=tuple(replace(finding, explained_by=cause) for finding, cause in pairs)
        )

    return tuple(link(verdict) for verdict in verdicts)


_ByFile = Mapping[str | None, Sequence[tuple[FindingRef, Finding]]]


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
