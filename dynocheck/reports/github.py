"""GitHub Actions workflow commands, which annotate the lines of a pull request.

The runner shows 10 errors and 10 warnings of a step. Every cause gets one before a cause that is found in
several places gets more; a notice counts the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import islice

from dynocheck.core.outcomes import Outcome, Report, list_undecided
from dynocheck.core.paths import relate
from dynocheck.reports._causes import Cause, Occurrence, group_causes
from dynocheck.reports._text import describe_config, format_unjudged, sanitize
from dynocheck.reports.options import ReportOptions

_MOST = 10  # of a command in a step
_MOST_PLACES = 3
_COMMANDS = {
    Outcome.FAIL: "error",
    Outcome.ERROR: "error",
    Outcome.UNKNOWN: "error",
    Outcome.WARN: "warning",
}


def render(report: Report, options: ReportOptions) -> str:
    """A command per cause, the worst first, as long as the runner shows them, and the configuration."""
    causes = group_causes(report)
    lines: list[str] = []
    left: Counter[str] = Counter()
    for command in ("error", "warning"):
        alike = [cause for cause in causes if _COMMANDS[cause.outcome] == command]
        shown = list(islice(_rank(alike), _MOST))
        for cause, number in shown:
            spoken = {place for each, place in shown if each is cause}
            silent = [] if number else [o for i, o in enumerate(cause.occurrences) if i not in spoken]
            lines.append(_format_command(cause, number, silent, options))
        left[command] = sum(1 for _ in _rank(alike)) - len(shown)
    rest = [f"{many} more {command}{'s' if many > 1 else ''}" for command, many in left.items() if many]
    if rest:
        text = f"{' and '.join(rest)} in {len(causes)} causes; -o markdown, -o html and -o json have all"
        lines.append(f"::notice title=dynocheck::{_escape_data(text)}")
    lines += [render_error(line).rstrip() for line in _list_undecided(report, options)]
    if config := "\n".join(describe_config(report)):
        lines.append(f"::notice title=dynocheck::{_escape_data(config)}")
    return "".join(f"{line}\n" for line in lines)


def render_error(message: str) -> str:
    """The command that shows why a run was given up."""
    return f"::error title=dynocheck::{_escape_data(sanitize(message))}\n"


def _list_undecided(report: Report, options: ReportOptions) -> Iterator[str]:
    """What was not judged, where that decides the exit code."""
    items = list_undecided(report.verdicts) if options.strict else []
    for verdict, item in items[:1]:
        more = f", and {len(items) - 1} more" if len(items) > 1 else ""
        yield sanitize(f"{format_unjudged(item)}, which --strict counts ({verdict.check}){more}")


def _rank(causes: Sequence[Cause]) -> Iterator[tuple[Cause, int]]:
    """The occurrences by their number in a cause: first the first of every cause. Those that only repeat why
    it was not possible to look are left to the first.
    """
    for number in range(max((len(cause.occurrences) for cause in causes), default=0)):
        for cause in causes:
            if number < len(cause.occurrences) and not cause.occurrences[number].finding.repeats_reason:
                yield cause, number


def _format_command(cause: Cause, number: int, silent: Sequence[Occurrence], options: ReportOptions) -> str:
    """An annotation of this occurrence; the first names those that have none."""
    verdict, finding = cause.occurrences[number]
    properties = {"title": f"{verdict.check}: {finding.outcome}"}
    place = finding.location
    if place is not None:
        properties["file"] = relate(place.file, options.root)
        properties |= {"line": str(place.line)} if place.line is not None else {}
        properties |= {"col": str(place.column)} if place.column is not None else {}
    text = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    about = f"{finding.subject}: " if finding.subject else ""
    lines = [about + finding.message]
    lines += _describe_others(silent, () if number else cause.effects, options)
    lines += [f"fix: {finding.fix}"] if finding.fix else []
    message = "\n".join(map(sanitize, lines))
    return f"::{_COMMANDS[finding.outcome]} {text}::{_escape_data(message)}"


def _describe_others(
    occurrences: Sequence[Occurrence], effects: Sequence[Cause], options: ReportOptions
) -> Iterator[str]:
    """Where else the cause is found, and what follows from it."""
    find_path = cache(partial(relate, root=options.root))
    places = list(dict.fromkeys(filter(None, (_name_place(each, find_path) for each in occurrences))))
    if places:
        more = len(places) - _MOST_PLACES
        yield f"also: {', '.join(places[:_MOST_PLACES])}{f' +{more}' if more > 0 else ''}"
    for effect in effects:
        yield f"leads to: {effect.message} ({effect.occurrences[0].verdict.check})"


def _name_place(occurrence: Occurrence, find_path: Callable[[str], str]) -> str:
    place, subject = occurrence.finding.location, occurrence.finding.subject
    if place is None:
        return str(subject) if subject else occurrence.verdict.check
    return f"{find_path(place.file)}{f':{place.line}' if place.line else ''}"


def _escape_data(text: str) -> str:
    """The text after the second `::`, escaped as the runner unescapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(sanitize(text)).replace(":", "%3A").replace(",", "%2C")
