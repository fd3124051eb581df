"""JUnit XML for Jenkins, GitLab and Ant: one suite per area, one case per check."""

import io
from collections.abc import Iterator

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from dynocheck.core.outcomes import Finding, Outcome, Report, Verdict, describe_suppressed
from dynocheck.reports._text import flatten, format_finding, group_by_area, sanitize
from dynocheck.reports.options import ReportOptions


def render(report: Report, options: ReportOptions) -> str:
    """The report as an XML document. A warning is a passed case with the findings in its `system-out`."""
    document = JUnitXml(sanitize(f"{report.tool.name} {report.command}"))
    for area, verdicts in group_by_area(report).items():
        suite = TestSuite(sanitize(area))
        suite.timestamp = sanitize(report.started)
        for name, value in _list_properties(report):
            suite.add_property(sanitize(name), sanitize(value))
        suite.add_testcases([_build_case(verdict, options) for verdict in verdicts])
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    document.time = round(report.duration_s, 3)
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
    case = TestCase(
        sanitize(verdict.check), sanitize(f"dynocheck.{verdict.area}"), round(verdict.duration_s, 4)
    )
    message = sanitize(verdict.message)
    match verdict.outcome:
        case Outcome.PASS:
            return case
        case Outcome.WARN:
            case.system_out = _format_verdict(verdict)
            return case
        case Outcome.SKIP:
            result: Failure | Error | Skipped = Skipped(message)
        case Outcome.UNJUDGED:
            result = Skipped(message, "unjudged")
        case Outcome.FAIL:
            result = Failure(message, "fail")
        case Outcome.UNKNOWN if options.junit_unknown == "skipped":
            result = Skipped(message, "unknown")
        case Outcome.UNKNOWN:
            result = Error(message, "unknown")
        case Outcome.ERROR:
            result = Error(message, "crash")
    result.text = _format_verdict(verdict)
    case.result = result
    return case


def _format_verdict(verdict: Verdict) -> str:
    """The title and every finding."""
    lines = [verdict.title]
    for finding in verdict.findings:
        lines += [format_finding(finding, verdict), *_format_details(finding)]
    lines += describe_suppressed(verdict.suppressed)
    return "\n".join(sanitize(line) for line in lines)


def _format_details(finding: Finding) -> Iterator[str]:
    if finding.fix:
        yield f"    fix: {finding.fix}"
    for name, value in flatten(finding.evidence):
        yield f"    seen: {name}={value}"
