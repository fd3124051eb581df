"""JUnit XML for Jenkins, GitLab, GitHub and Ant: one suite per area, one case per check.

The attributes are those that the schema of Jenkins' xUnit plugin allows, which rejects a whole file for one
that it does not know. The readers of GitLab and GitHub look for two more, `file` and `line` of a case, which
stand there if the option `places` is set.
"""

import io
from collections.abc import Iterator
from datetime import UTC, datetime

from junitparser import Attr, Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from dynocheck.core.outcomes import (
    Finding,
    Outcome,
    Report,
    Verdict,
    describe_suppressed,
    list_undecided,
)
from dynocheck.core.paths import relate
from dynocheck.reports._text import flatten, format_finding, format_unjudged, group_by_area, sanitize
from dynocheck.reports.options import ReportOptions


class _Case(TestCase):
    file = Attr("file")
    line = Attr("line")


def render(report: Report, options: ReportOptions) -> str:
    """The report as an XML document.

    A warning is a passed case with the findings in its `system-out`, and a failed one when warnings count. A
    case of which a part was not judged is an error then, as the exit code is. Where many checks could not
    look for one reason, one case is an error, and the others are skipped.
    """
    document = JUnitXml(sanitize(f"{report.tool.name} {report.command}"))
    for area, verdicts in group_by_area(report).items():
        suite = TestSuite(sanitize(area))
        suite.timestamp = sanitize(report.started)
        for name, value in _list_properties(report):
            suite.add_property(sanitize(name), sanitize(value))
        suite.add_testcases([_build_case(verdict, options) for verdict in verdicts])
        suite.update_statistics()  # type: ignore[no-untyped-call]
        document.add_testsuite(suite)
    document.time = round(report.duration_s, 3)
    return _write(document)


def render_error(message: str) -> str:
    """A document with one case, which is an error: the run was given up before it judged anything."""
    case = TestCase("dynocheck", "dynocheck", 0.0)
    case.result = [Error(sanitize(message), "usage")]
    suite = TestSuite("dynocheck")
    suite.timestamp = datetime.now(UTC).isoformat(timespec="seconds")
    suite.add_testcase(case)
    suite.update_statistics()  # type: ignore[no-untyped-call]
    document = JUnitXml("dynocheck")
    document.time = 0.0
    document.add_testsuite(suite)
    return _write(document)


def _write(document: JUnitXml) -> str:
    for count in ("tests", "failures", "errors"):  # not skipped, which only suites may have
        setattr(document, count, sum(getattr(suite, count) for suite in document))
    written = io.BytesIO()
    document.write(written, pretty=True)
    return written.getvalue().decode()


def _list_properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "tool.name", report.tool.name
    yield "tool.version", report.tool.version
    yield "command", report.command
    yield from flatten(report.target)


def _build_case(verdict: Verdict, options: ReportOptions) -> TestCase:
    # Four digits: below that Python writes an exponent, which strict readers take for no number.
    case = _Case(sanitize(verdict.check), sanitize(f"dynocheck.{verdict.area}"), round(verdict.duration_s, 4))
    if options.places:
        _set_place(case, verdict, options)
    result = _build_result(verdict, options)
    if result is not None:
        result.text = _format_verdict(verdict)
        case.result = result
    elif verdict.outcome is Outcome.WARN or verdict.unjudged:
        case.system_out = _format_verdict(verdict)
    return case


def _build_result(verdict: Verdict, options: ReportOptions) -> Failure | Error | Skipped | None:
    """How the case ends; None when it passes."""
    message = sanitize(verdict.message)
    match verdict.outcome:
        case Outcome.WARN if options.strict:
            return Failure(message, "warning")
        case Outcome.PASS | Outcome.UNJUDGED if options.strict and (undecided := list_undecided([verdict])):
            return Error(sanitize(format_unjudged(undecided[0][1])), "unjudged")
        case Outcome.PASS | Outcome.WARN:
            return None
        case Outcome.SKIP:
            return Skipped(message)
        case Outcome.UNJUDGED:
            return Skipped(f"not judged: {message.removeprefix('not judged: ')}", "unjudged")
        case Outcome.FAIL:
            return Failure(message, "fail")
        case Outcome.UNKNOWN:
            return _build_unknown(verdict, message, options)
        case Outcome.ERROR:
            return Error(message, "crash")


def _build_unknown(verdict: Verdict, message: str, options: ReportOptions) -> Error | Skipped:
    """How the case of a check that could not look ends: skipped if it only repeats another's reason."""
    if options.junit_unknown == "skipped":
        return Skipped(message, "unknown")
    firsts = [f.explained_by.check for f in verdict.findings if f.repeats_reason and f.explained_by]
    if firsts and len(firsts) == len(verdict.findings):
        return Skipped(f"could not look, as {sanitize(firsts[0])} could not: {message}", "unknown")
    return Error(message, "unknown")


def _set_place(case: _Case, verdict: Verdict, options: ReportOptions) -> None:
    """Set the place of the first of the worst findings that has one."""
    findings = sorted(verdict.findings, key=lambda finding: -finding.outcome.severity)
    place = next((finding.location for finding in findings if finding.location), None)
    if place is not None:
        case.file = sanitize(relate(place.file, options.root))
        case.line = str(place.line or 1)


def _format_verdict(verdict: Verdict) -> str:
    """The title, every finding, and what was not judged."""
    lines = [verdict.title]
    for finding in verdict.findings:
        lines += [format_finding(finding, verdict), *_format_details(finding)]
    lines += map(format_unjudged, verdict.unjudged)
    lines += describe_suppressed(verdict.suppressed)
    return "\n".join(sanitize(line) for line in lines)


def _format_details(finding: Finding) -> Iterator[str]:
    if finding.fix:
        yield f"    fix: {finding.fix}"
    for name, value in flatten(finding.evidence):
        yield f"    seen: {name}={value}"
