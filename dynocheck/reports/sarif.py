"""SARIF 2.1.0 (OASIS) for code scanning: one rule per check, one result per finding.

GitHub rejects a log with a result that has no file. An object of a cluster therefore stands in a file that
does not exist, as in `cluster/dynamo/Pod/name`. GitHub rejects more than 25,000 results too, and shows 5,000:
the worst come first, and a notification says how many are left out.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dynocheck.core.fingerprints import Fingerprints, mask
from dynocheck.core.outcomes import (
    Finding,
    FindingRef,
    Location,
    Outcome,
    Report,
    Subject,
    SuppressedFinding,
    Verdict,
)
from dynocheck.core.paths import relate
from dynocheck.reports._text import describe_config, sanitize
from dynocheck.reports.as_json import dump_json
from dynocheck.reports.options import ReportOptions

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SOURCE = "https://docs.github.com/code-security/code-scanning/troubleshooting-sarif/results-exceed-limit"
_MOST_RESULTS = 25_000
_SHOWN_RESULTS = 5_000
_MOST_CHARACTERS = 1024  # of a description
_LEVELS = {Outcome.FAIL: "error", Outcome.WARN: "warning"}
_NOT_JUDGED = (Outcome.UNKNOWN, Outcome.ERROR)
_ROOT = "%SRCROOT%"  # as CodeQL calls it
_CLUSTER = "cluster"
_FINGERPRINT = "dynocheck/v1"
_Json = dict[str, Any]


def render(report: Report, options: ReportOptions) -> str:
    """The report as one SARIF log.

    Failures and warnings are results, with their suppressions. Unknown findings and errors are notifications
    of the run, which is then unsuccessful: one for each reason why checks could not look.
    """
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_build_run(report, options)]}
    return dump_json(log)


def _build_run(report: Report, options: ReportOptions) -> _Json:
    blind = list(_build_notifications(report))
    results = _build_results(report, options.root)
    rules = {verdict.check: verdict for verdict in report.verdicts}.values()
    return {
        "tool": {
            "driver": {
                "name": report.tool.name,
                "version": report.tool.version,
                "rules": [_build_rule(v, options.documentation.get(v.check, "")) for v in rules],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not blind,
                "startTimeUtc": report.started,
                "toolExecutionNotifications": [
                    *blind,
                    *_describe_limits(len(results)),
                    *({"level": "note", "message": {"text": line}} for line in describe_config(report)),
                ],
            }
        ],
        "originalUriBaseIds": {_ROOT: {"uri": f"{Path(options.root).absolute().as_uri()}/"}},
        "results": results[:_MOST_RESULTS],
    }


def _build_rule(verdict: Verdict, documentation: str) -> _Json:
    """The rule of a check: its title, why it matters, and how to fix it."""
    why, _, fix = documentation.partition("\nFix: ")
    why = why.strip() or verdict.title
    return {
        "id": verdict.check,
        "shortDescription": {"text": _shorten(verdict.title)},
        "fullDescription": {"text": _shorten(" ".join(why.split()))},
        "help": {
            "text": f"{why}\n\nFix: {fix}" if fix else why,
            "markdown": f"{why}\n\n**Fix:**\n\n```text\n{fix}\n```" if fix else why,
        },
        "defaultConfiguration": {"level": "error"},
        "properties": {"tags": [sanitize(verdict.area)]},
    }


def _shorten(text: str) -> str:
    text = sanitize(text)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."


def _build_results(report: Report, root: str) -> list[_Json]:
    """A result for each failure and warning: failures first, and what is suppressed last."""
    builder = _ResultBuilder(report, root)
    results = [
        builder.build(verdict, finding, aside)
        for verdict in report.verdicts
        for finding, aside in (
            *((finding, None) for finding in verdict.findings),
            *((aside.finding, aside) for aside in verdict.suppressed),
        )
        if finding.outcome in _LEVELS
    ]
    return sorted(results, key=lambda result: ("suppressions" in result, result["level"]))


class _ResultBuilder:
    """Builds results, with files relative to a root and fingerprints that are unique."""

    def __init__(self, report: Report, root: str) -> None:
        checks = dict.fromkeys(verdict.check for verdict in report.verdicts)
        self._indices = {check: index for index, check in enumerate(checks)}
        self._root = root
        self._fingerprints = Fingerprints(root)
        self._seen: Counter[str] = Counter()
        self._artifacts: dict[str, _Json] = {}

    def build(self, verdict: Verdict, finding: Finding, aside: SuppressedFinding | None) -> _Json:
        result = {
            "ruleId": verdict.check,
            "ruleIndex": self._indices[verdict.check],
            "level": _LEVELS[finding.outcome],
            "message": {"text": _format_message(finding)},
            "locations": [self._build_location(finding)],
            "partialFingerprints": self._build_fingerprints(verdict, finding),
        }
        if aside is None:
            return result
        place = self._build_region(aside.place) if aside.place else None
        return result | {"suppressions": [_build_suppression(aside, place)]}

    def _build_location(self, finding: Finding) -> _Json:
        """The place in a file; for an object of the cluster, one in a file that stands for it."""
        place, subject = finding.location, finding.subject
        if place is None:
            artifact = {"uri": quote(_name_stand_in(subject), errors="backslashreplace")}
            location: _Json = {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": 1}}}
        else:
            location = self._build_region(place)
        if subject is not None:
            name = {"name": sanitize(subject.name), "fullyQualifiedName": sanitize(str(subject))}
            location["logicalLocations"] = [name | {"kind": "resource"}]
        return location

    def _build_region(self, place: Location) -> _Json:
        region = {"startLine": place.line or 1} | ({"startColumn": place.column} if place.column else {})
        return {"physicalLocation": {"artifactLocation": self._build_artifact(place.file), "region": region}}

    def _build_artifact(self, file: str) -> _Json:
        if file not in self._artifacts:
            path = relate(file, self._root)
            uri = quote(path, errors="backslashreplace")
            inside = {"uri": uri, "uriBaseId": _ROOT}
            self._artifacts[file] = {"uri": f"file://{uri}"} if path.startswith("/") else inside
        return self._artifacts[file]

    def _build_fingerprints(self, verdict: Verdict, finding: Finding) -> _Json:
        """A fingerprint that stays when lines move and numbers change, counted where several are alike.

        GitHub computes its own from the line of a file, and cannot where there is none.
        """
        identity = "\n".join(mask(self._fingerprints.compute(verdict.check, finding)))
        value = hashlib.sha256(identity.encode(errors="backslashreplace")).hexdigest()[:32]
        self._seen[value] += 1
        value = f"{value}:{self._seen[value]}"
        return {_FINGERPRINT: value} | ({} if finding.location else {"primaryLocationLineHash": value})


def _name_stand_in(subject: Subject | None) -> str:
    """The file that stands for an object of the cluster, or for the cluster."""
    parts = (subject.namespace, subject.kind, subject.name) if subject else ()
    return "/".join([_CLUSTER, *(sanitize(part).replace("/", "_") for part in parts if part)])


def _build_suppression(aside: SuppressedFinding, location: _Json | None) -> _Json:
    kind = "inSource" if aside.by == "comment" else "external"
    justification = aside.reason if aside.by == "comment" else aside.description
    suppression: _Json = {"kind": kind, "justification": sanitize(justification)}
    return suppression | ({"location": location} if location else {})


def _build_notifications(report: Report) -> Iterator[_Json]:
    """What could not be looked at or judged, once for each reason, with the number of other checks."""
    findings = [(verdict, finding) for verdict in report.verdicts for finding in verdict.findings]
    repeated = Counter(finding.explained_by for _, finding in findings if finding.repeats_reason)
    for verdict, finding in findings:
        if finding.outcome in _NOT_JUDGED and not finding.repeats_reason:
            others = repeated[FindingRef(verdict.check, verdict.findings.index(finding))]
            more = f"\n{others} more checks could not look for this reason" if others else ""
            yield {
                "associatedRule": {"id": verdict.check},
                "level": "error",
                "message": {"text": _format_message(finding) + more},
            }


def _describe_limits(count: int) -> Iterator[_Json]:
    """A notification of what GitHub's limits leave out."""
    if count > _MOST_RESULTS:
        text = f"{count - _MOST_RESULTS} of {count} results are left out: GitHub rejects more than 25,000"
        yield {"level": "warning", "message": {"text": f"{text} ({_SOURCE}); -o json has all"}}
    elif count > _SHOWN_RESULTS:
        yield {"level": "note", "message": {"text": f"GitHub shows 5,000 of {count} results ({_SOURCE})"}}


def _format_message(finding: Finding) -> str:
    about = f"{finding.subject}: " if finding.subject else ""
    fix = f"\nFix: {sanitize(finding.fix)}" if finding.fix else ""
    return sanitize(about + finding.message) + fix
