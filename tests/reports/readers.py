"""What the readers of CI servers take from a JUnit report, by their sources."""

from typing import NamedTuple

from lxml import etree


class Read(NamedTuple):
    """A case as a reader shows it; `place` is the file, and its line where the reader has one."""

    name: str
    status: str
    place: str | None
    details: str


def _get_end(case: "etree._Element", *names: str) -> "etree._Element | None":
    return next((end for name in names if (end := case.find(name)) is not None), None)


def read_as_gitlab(root: "etree._Element") -> list[Read]:
    """gitlabhq/gitlabhq, lib/gitlab/ci/parsers/test/junit.rb: the status is the first of these elements, the
    details are its text, and the file is an attribute of the case. Of cases with the same suite, class and
    name, one is kept.
    """
    cases: dict[tuple[str, ...], Read] = {}
    for suite in root.iter("testsuite"):
        for case in suite.iterfind("testcase"):
            end = _get_end(case, "failure", "error", "skipped")
            status = str(end.tag) if end is not None else "success"
            text = (end.text or "") if end is not None else ""
            key = (suite.get("name", ""), case.get("classname", ""), case.get("name", ""))
            cases.setdefault(key, Read(case.get("name", ""), status, case.get("file"), text))
    return list(cases.values())


def read_as_action_junit_report(root: "etree._Element") -> list[Read]:
    """mikepenz/action-junit-report at 305cd1f, src/testParser.ts: failures and errors become annotations, at
    the file and line of the case, with the attribute `message` or the start of the text.
    """
    found = []
    for case in root.iter("testcase"):
        end = _get_end(case, "failure", "error")
        if end is not None and case.find("skipped") is None:
            place = f"{case.get('file')}:{case.get('line') or 1}" if case.get("file") else None
            found.append(Read(case.get("name", ""), "failure", place, end.get("message") or end.text or ""))
    return found


def read_as_test_reporter(root: "etree._Element") -> list[Read]:
    """dorny/test-reporter at 29672c5, src/parsers/java-junit: it reads names and times of suites and cases,
    and the type, message and text of a failure or an error. It knows no places but Java's.
    """
    found = []
    for suite in root.iterfind("testsuite"):
        float(suite.get("time", ""))
        for case in suite.iterfind("testcase"):
            float(case.get("time", ""))
            end = _get_end(case, "failure", "error")
            skipped = case.find("skipped") is not None
            status = "failed" if end is not None else "skipped" if skipped else "success"
            text = f"{end.get('type')}: {end.get('message')}\n{end.text}" if end is not None else ""
            found.append(Read(case.get("name", "").strip(), status, None, text))
    return found
