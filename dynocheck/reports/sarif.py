"""SARIF 2.1.0 (OASIS) for code scanning: one rule per check, one result per finding."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from dynocheck.core.outcomes import Finding, Outcome, Report, SuppressedFinding, Verdict
from dynocheck.reports._text import flatten, sanitize
from dynocheck.reports.as_json import dump_json
from dynocheck.reports.options import ReportOptions

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Outcome.FAIL: "error", Outcome.WARN: "warning"}
_NOT_JUDGED = (Outcome.UNKNOWN, Outcome.ERROR)


def render(report: Report, _: ReportOptions) -> str:
    """The report as one SARIF log.

    Failures and warnings are results, with their suppressions. Unknown findings and errors are notifications
    of the run, which is then unsuccessful.
    """
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_build_run(report)]}
    return dump_json(log)


def _build_run(report: Report) -> dict[str, Any]:
    indices = {verdict.check: i for i, verdict in enumerate(report.verdicts)}
    notifications = [_build_notification(v, f) for v, f in _list_findings(report) if f.outcome in _NOT_JUDGED]
    return {
        "tool": {
            "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "rules": [{"id": v.check, "shortDescription": {"text": v.title}} for v in report.verdicts],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not notifications,
                "startTimeUtc": report.started,
                "toolExecutionNotifications": notifications,
            }
        ],
        "properties": dict(flatten(report.target)),
        "results": [
            _build_result(verdict, finding, indices[verdict.check])
            for verdict, finding in _list_findings(report)
            if finding.outcome in _LEVELS
        ]
        + [
            _build_result(verdict, aside.finding, indices[verdict.check])
            | {"suppressions": [_build_suppression(aside)]}
            for verdict in report.verdicts
            for aside in verdict.suppressed
            if aside.finding.outcome in _LEVELS
        ],
    }


def _list_findings(report: Report) -> Iterator[tuple[Verdict, Finding]]:
    for verdict in report.verdicts:
        for finding in verdict.findings:
            yield verdict, finding


def _build_result(verdict: Verdict, finding: Finding, index: int) -> dict[str, Any]:
    return {
        "ruleId": verdict.check,
        "ruleIndex": index,
        "level": _LEVELS[finding.outcome],
        "message": {"text": _format_message(finding)},
        "locations": list(_build_locations(finding)),
    }


def _build_suppression(aside: SuppressedFinding) -> dict[str, Any]:
    kind = "inSource" if aside.by == "comment" else "external"
    justification = aside.reason if aside.by == "comment" else aside.description
    return {"kind": kind, "justification": sanitize(justification)}


def _build_notification(verdict: Verdict, finding: Finding) -> dict[str, Any]:
    return {
        "associatedRule": {"id": verdict.check},
        "level": "error",
        "message": {"text": _format_message(finding)},
    }


def _format_message(finding: Finding) -> str:
    about = f"{finding.subject}: " if finding.subject else ""
    fix = f"\nFix: {sanitize(finding.fix)}" if finding.fix else ""
    return sanitize(about + finding.message) + fix


def _build_locations(finding: Finding) -> Iterator[dict[str, Any]]:
    place = finding.location
    if place is not None:
        region = {"startLine": place.line, "startColumn": place.column}
        physical: dict[str, Any] = {"artifactLocation": {"uri": _to_uri(place.file)}}
        if place.line is not None:
            physical["region"] = {key: value for key, value in region.items() if value is not None}
        yield {"physicalLocation": physical}
    elif finding.subject is not None:
        yield {
            "logicalLocations": [{"fullyQualifiedName": sanitize(str(finding.subject)), "kind": "resource"}]
        }


def _to_uri(path: str) -> str:
    """A path as a relative or absolute URI reference."""
    return quote(path.removeprefix("./"), errors="backslashreplace")
