"""JUnit XML, as Jenkins, GitLab and Ant's tools read it: a suite an area, a case a check."""

import io
from collections.abc import Iterator

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from dynocheck.core.outcomes import Finding, Outcome, Report, Verdict, counted
from dynocheck.reports._text import by_area, pairs, statement, visible
from dynocheck.reports.options import Options


def text(report: Report, options: Options) -> str:
    """The report as one XML document. A warning is a passed case that says so in its `system-out`."""
    document = JUnitXml(visible(f"{report.tool.name} {report.command}"))
    for area, verdicts in by_area(report).items():
        suite = TestSuite(visible(area))
        suite.timestamp = visible(report.started)
        for name, value in _properties(report):
            suite.add_property(visible(name), visible(value))
        suite.add_testcases([_case(verdict, options) for verdict in verdicts])
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    document.time = round(report.duration_s, 3)
    written = io.BytesIO()
    document.write(written, pretty=True)
    return written.getvalue().decode()


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "tool.name", report.tool.name
    yield "tool.version", report.tool.version
    yield "command", report.command
    yield from pairs(report.target)


def _case(verdict: Verdict, options: Options) -> TestCase:
    # Four digits: below that Python writes an exponent, which strict readers take for no number.
    case = TestCase(
        visible(verdict.check), visible(f"dynocheck.{verdict.area}"), round(verdict.duration_s, 4)
    )
    message = visible(verdict.message)
    match verdict.outcome:
        case Outcome.PASS:
            return case
        case Outcome.WARN:
            case.system_out = _told(verdict)
            return case
        case Outcome.SKIP:
            result: Failure | Error | Skipped = Skipped(message)
        case Outcome.FAIL:
            result = Failure(message, "fail")
        case Outcome.UNKNOWN if options.junit_unknown == "skipped":
            result = Skipped(message, "unknown")
        case Outcome.UNKNOWN:
            result = Error(message, "unknown")
        case Outcome.ERROR:
            result = Error(message, "crash")
    result.text = _told(verdict)
    case.result = result
    return case


def _told(verdict: Verdict) -> str:
    """The title, which says what should hold, and every finding."""
    lines = [verdict.title]
    for finding in verdict.findings:
        lines += [statement(finding, verdict), *_details(finding)]
    lines += counted(verdict.suppressed)
    return "\n".join(visible(line) for line in lines)


def _details(finding: Finding) -> Iterator[str]:
    if finding.fix:
        yield f"    fix: {finding.fix}"
    for name, value in pairs(finding.evidence):
        yield f"    seen: {name}={value}"
