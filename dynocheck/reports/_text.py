"""What the formats say alike, and how they make foreign text harmless."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from dynocheck.core.outcomes import Finding, Outcome, Report, Subject, Verdict, exit_code

MARKS = {
    Outcome.PASS: "✔",
    Outcome.WARN: "!",
    Outcome.FAIL: "✘",
    Outcome.UNKNOWN: "?",
    Outcome.SKIP: "-",
    Outcome.ERROR: "*",
}
_LONGEST = 2000


def visible(text: str, encoding: str = "utf-8") -> str:
    """The text on one line, with every character shown as its escape that could move the cursor, hide or
    reorder text, that XML forbids, or that the encoding lacks.
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def shortened(text: str) -> str:
    """The text, cut where nobody reads on."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}... ({len(text) - _LONGEST} characters more in -o json)"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def plain(value: Any) -> Any:
    """The value in the types and the text that JSON has, whatever a check put into its evidence."""
    match value:
        case Subject():
            return plain({"kind": value.kind, "namespace": value.namespace, "name": value.name})
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {plain(str(key)): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
    return plain(str(value))


def pairs(data: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested data as dotted names, each with its value in words; what is empty is left out."""
    for key, value in data.items():
        match value:
            case None | "" | [] | ():
                continue
            case Mapping():
                yield from pairs(value, f"{prefix}{key}.")
            case list() | tuple():
                yield f"{prefix}{key}", ", ".join(_words(item) for item in value)
            case _:
                yield f"{prefix}{key}", _words(value)


def _words(value: Any) -> str:
    value = plain(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def where(finding: Finding) -> str:
    """The place and the object that a finding is about; empty when it is about neither."""
    return ": ".join(str(about) for about in (finding.location, finding.subject) if about is not None)


def statement(finding: Finding, verdict: Verdict) -> str:
    """A finding in a line: what it is about, what was seen, and its outcome unless the verdict has that."""
    outcome = None if finding.outcome is verdict.outcome else str(finding.outcome)
    return ": ".join(part for part in (outcome, where(finding), finding.message) if part)


def by_area(report: Report) -> dict[str, list[Verdict]]:
    """The verdicts of each area, areas and verdicts in the report's order."""
    areas: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts:
        areas.setdefault(verdict.area, []).append(verdict)
    return areas


def decided(report: Report, *, strict: bool) -> Outcome:
    """The outcome that the whole report is like."""
    code = exit_code(report, strict=strict)
    return {0: Outcome.PASS, 1: Outcome.FAIL}.get(code, Outcome.UNKNOWN)


def meaning(report: Report, *, strict: bool) -> str:
    """What the exit code says, in words."""
    match exit_code(report, strict=strict):
        case 0:
            return "fit"
        case 1 if report.summary.get(Outcome.FAIL):
            return "not fit"
        case 1:
            return "not fit, warnings count here"
    if report.summary.get(Outcome.UNKNOWN) or report.summary.get(Outcome.ERROR):
        return "could not tell"
    return "could not tell, nothing was judged"
