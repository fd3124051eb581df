"""Text that several formats share, and sanitizing."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from dynocheck.core.outcomes import (
    Finding,
    Outcome,
    Report,
    Subject,
    Unjudged,
    Verdict,
    compute_exit_code,
    describe_silenced,
    has_unjudged,
    list_undecided,
)

MARKS = {
    Outcome.PASS: "✔",
    Outcome.WARN: "!",
    Outcome.FAIL: "✘",
    Outcome.UNKNOWN: "?",
    Outcome.UNJUDGED: "~",
    Outcome.SKIP: "-",
    Outcome.ERROR: "*",
}
_MAX_LENGTH = 2000
_NOTES = "config notes"
_COMMAND = re.compile(r"##(?=[A-Za-z]{0,20}\[)")
_LINE_COMMAND = re.compile("^([ \t]*+)::", re.MULTILINE)


def escape_to_hex(char: str) -> str:
    """A character as text, by its number."""
    return f"\\x{ord(char):02x}"


def sanitize(text: str, encoding: str = "utf-8") -> str:
    """The text on one line. Characters that could move the cursor, hide or reorder text, that XML forbids or
    the encoding lacks are shown as escapes.
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape_char(char) for char in text)
    if text.isascii():
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def make_inert(text: str, escape: Callable[[str], str] = escape_to_hex, *, lines: bool = True) -> str:
    """The text, with what CI runners take for a command escaped: `::` at the start of a line, and `##[` and
    `##vso[` anywhere.

    :param escape: writes the first character in another way.
    :param lines: whether lines are data; those of a format of commands are not.
    """
    if "##" in text:
        text = _COMMAND.sub(lambda match: escape("#") + match[0][1:], text)
    if lines and "::" in text:
        text = _LINE_COMMAND.sub(lambda match: f"{match[1]}{escape(':')}:", text)
    return text


def shorten(text: str) -> str:
    """The text, cut after 2000 characters."""
    if len(text) <= _MAX_LENGTH:
        return text
    return f"{text[:_MAX_LENGTH]}... ({len(text) - _MAX_LENGTH} characters more in -o json)"


def _escape_char(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def to_plain(value: Any) -> Any:
    """The value in types and text that JSON supports, whatever a check put into its evidence."""
    if isinstance(value, str):
        is_plain = type(value) is str and value.isascii()
        return value if is_plain else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Subject):
        return to_plain({"kind": value.kind, "namespace": value.namespace, "name": value.name})
    if isinstance(value, msgspec.Struct):
        return {name: to_plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {to_plain(str(key)): to_plain(item) for key, item in value.items()}
    return to_plain(str(value))


def flatten(data: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested data as dotted names with values as text; empty values are left out."""
    for key, value in data.items():
        match value:
            case None | "" | [] | ():
                continue
            case Mapping():
                yield from flatten(value, f"{prefix}{key}.")
            case list() | tuple():
                yield f"{prefix}{key}", ", ".join(_format_value(item) for item in value)
            case _:
                yield f"{prefix}{key}", _format_value(value)


def describe_config(report: Report) -> Iterator[str]:
    """Lines with the configuration files of the run, what they change, and what does not count."""
    for name, value in flatten(report.target):
        if name == "config":
            yield sanitize(f"{name}: {value}")
    yield from (sanitize(line) for line in (*list_config_notes(report), *describe_silenced(report)))


def list_config_notes(report: Report) -> list[str]:
    """What the configuration of the run changes, and what of it does not hold."""
    notes = report.target.get(_NOTES, ())
    return [str(note) for note in notes] if isinstance(notes, list | tuple) else [str(notes)]


def describe_target(report: Report) -> list[tuple[str, str]]:
    """What was judged, as names with values; without the notes on the configuration."""
    return [*flatten({name: value for name, value in report.target.items() if name != _NOTES})]


def _format_value(value: Any) -> str:
    value = to_plain(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def format_place(finding: Finding) -> str:
    """The location and subject of a finding; empty without either."""
    return ": ".join(str(about) for about in (finding.location, finding.subject) if about is not None)


def format_unjudged(item: Unjudged) -> str:
    """What was not judged and why, what would let us judge it, and what accepts it."""
    needs = f" (needs {item.needs})" if item.needs else ""
    accepted = f" ({item.acceptance})" if item.acceptance else ""
    return f"{item.description}{needs}{accepted}"


def format_finding(finding: Finding, verdict: Verdict) -> str:
    """A finding on one line: its outcome if it is not the verdict's, place, and message."""
    outcome = None if finding.outcome is verdict.outcome else str(finding.outcome)
    return ": ".join(part for part in (outcome, format_place(finding), finding.message) if part)


def group_by_area(report: Report) -> dict[str, list[Verdict]]:
    """The verdicts by area, in the order of the report."""
    areas: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts:
        areas.setdefault(verdict.area, []).append(verdict)
    return areas


def decide_outcome(report: Report, *, strict: bool) -> Outcome:
    """The outcome of the whole report."""
    code = compute_exit_code(report, strict=strict)
    return {0: Outcome.PASS, 1: Outcome.FAIL}.get(code, Outcome.UNKNOWN)


def describe_result(report: Report, *, strict: bool) -> str:
    """The exit code in words."""
    match compute_exit_code(report, strict=strict):
        case 0:
            return "fit as far as judged" if has_unjudged(report) else "fit"
        case 1 if report.summary.get(Outcome.FAIL):
            return "not fit"
        case 1:
            return "not fit, warnings count here"
    if report.summary.get(Outcome.UNKNOWN) or report.summary.get(Outcome.ERROR):
        return "could not tell"
    if strict and list_undecided(report.verdicts):
        return "could not tell, not all was judged"
    return "could not tell, nothing was judged"
