"""GitHub Actions workflow commands, which annotate the lines of a pull request."""

from dynocheck.core.outcomes import Finding, Outcome, Report, Verdict
from dynocheck.reports._text import flatten, sanitize
from dynocheck.reports.options import ReportOptions

_COMMANDS = {
    Outcome.FAIL: "error",
    Outcome.ERROR: "error",
    Outcome.UNKNOWN: "error",
    Outcome.WARN: "warning",
}


def render(report: Report, _: ReportOptions) -> str:
    """One command per finding, and a notice of the configuration files; empty without either."""
    lines = [
        _format_command(verdict, finding)
        for verdict in report.verdicts
        for finding in verdict.findings
        if finding.outcome in _COMMANDS
    ]
    lines += [
        f"::notice title=dynocheck::{_escape_data(sanitize(f'{name}: {value}'))}"
        for name, value in flatten(report.target)
        if name.startswith("config")
    ]
    return "".join(f"{line}\n" for line in lines)


def _format_command(verdict: Verdict, finding: Finding) -> str:
    properties = {"title": f"{verdict.check}: {finding.outcome}"}
    place = finding.location
    if place is not None:
        properties["file"] = place.file
        properties |= {"line": str(place.line)} if place.line is not None else {}
        properties |= {"col": str(place.column)} if place.column is not None else {}
    text = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items())
    about = f"{finding.subject}: " if finding.subject else ""
    message = sanitize(about + finding.message)
    if finding.fix:
        message += f"\nfix: {sanitize(finding.fix)}"
    return f"::{_COMMANDS[finding.outcome]} {text}::{_escape_data(message)}"


def _escape_data(text: str) -> str:
    """The text after the second `::`, escaped as the runner unescapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(sanitize(text)).replace(":", "%3A").replace(",", "%2C")
