from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import junitparser
import pytest

from dynocheck.core.outcomes import Location, Outcome
from dynocheck.reports import ReportOptions, render_report
from tests.reports.readers import read_as_action_junit_report, read_as_gitlab, read_as_test_reporter
from tests.reports.samples import (
    FAIL,
    UNKNOWN,
    WARN,
    every_outcome,
    finding,
    partly_judged,
    report,
    server_down,
    verdict,
)
from tests.reports.schemas import valid_junit


def cases(text: str) -> dict[str, junitparser.TestCase]:
    return {
        str(case.name): case for suite in junitparser.JUnitXml.fromstring(text.encode()) for case in suite
    }


def test_a_suite_an_area_and_a_case_a_check() -> None:
    root = valid_junit(render_report(every_outcome(), "junit"))
    assert root.get("name") == "dynocheck preflight"
    assert {suite.get("name"): [case.get("name") for case in suite.iter("testcase")] for suite in root} == {
        "storage": ["storage.default-class", "storage.rwx-class"],
        "recipe": ["recipe.gpus-fit"],
        "nodes": ["nodes.driver", "nodes.allocatable"],
        "fabric": ["fabric.rdma-resource", "fabric.nccl"],
    }
    assert {case.get("classname") for case in root.iter("testcase")} == {
        f"dynocheck.{area}" for area in ("storage", "recipe", "nodes", "fabric")
    }


def test_every_outcome_has_its_element() -> None:
    read = cases(render_report(every_outcome(), "junit"))

    def ends(check: str) -> list[tuple[str, Any, Any]]:
        return [(type(end).__name__, end.message, end.type) for end in read[check].result]

    assert ends("storage.default-class") == []
    assert ends("storage.rwx-class") == [("Failure", "no StorageClass can give ReadWriteMany", "fail")]
    assert ends("nodes.allocatable") == [("Error", "may not list nodes at the cluster scope", "unknown")]
    assert ends("fabric.nccl") == [("Error", "crashed: KeyError in fabric.py, line 31", "crash")]
    assert ends("fabric.rdma-resource") == [("Skipped", "no recipe asks for RDMA", None)]


def test_a_warning_is_green_and_told() -> None:
    driver = cases(render_report(every_outcome(), "junit"))["nodes.driver"]
    assert driver.is_passed
    assert driver.system_out.splitlines()[1:3] == [
        "Node gpu-worker-01: driver 535.104.05 is older than the 570 that CUDA 12.8 wants",
        "    fix: update the driver with the GPU Operator: kubectl edit clusterpolicy",
    ]


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("strict", [False, True])
def test_readers_of_ci_servers_show_every_outcome(strict: bool, places: bool) -> None:
    options = ReportOptions(strict=strict, places=places, root="/repo")
    root = valid_junit(render_report(every_outcome(), "junit", options), places=places)
    warning = "failure" if strict else "success"
    statuses = {case.name: case.status for case in read_as_gitlab(root)}
    assert statuses == {
        "storage.default-class": "success",
        "storage.rwx-class": "failure",
        "recipe.gpus-fit": "failure",
        "nodes.driver": warning,
        "nodes.allocatable": "error",
        "fabric.rdma-resource": "skipped",
        "fabric.nccl": "error",
    }
    failed = {name for name, status in statuses.items() if status in ("failure", "error")}
    assert {case.name for case in read_as_action_junit_report(root)} == failed
    assert {case.name for case in read_as_test_reporter(root) if case.status == "failed"} == failed
    assert all(case.details for case in read_as_gitlab(root) if case.status != "success")


def test_with_strict_a_warning_is_a_failure_of_that_type() -> None:
    root = valid_junit(render_report(every_outcome(), "junit", ReportOptions(strict=True)))
    (warning,) = (each for each in root.iter("failure") if each.get("type") == "warning")
    assert "driver 535.104.05 is older" in (warning.text or "")
    assert root.get("failures") == "3"


def test_what_is_not_judged_is_skipped_with_the_reason() -> None:
    partly, why = partly_judged(), "not judged: image a:1: no table for it"
    whole = verdict(Outcome.UNJUDGED, "a.whole", why, unjudged=partly.unjudged)
    root = valid_junit(render_report(report(whole, partly), "junit"))
    (skipped,) = root.iter("skipped")
    assert skipped.get("message") == why
    (told,) = root.iter("system-out")
    assert told.text == f"t\n{why} (needs the release of a:1)"


def test_with_strict_what_is_not_judged_is_an_error_as_the_exit_code_is() -> None:
    root = valid_junit(render_report(report(partly_judged()), "junit", ReportOptions(strict=True)))
    (error,) = root.iter("error")
    assert (root.get("errors"), error.get("type")) == ("1", "unjudged")
    assert error.get("message") == "not judged: image a:1: no table for it (needs the release of a:1)"


def test_the_place_of_the_worst_finding_is_from_the_root_where_it_is_looked_for(tmp_path: Path) -> None:
    found = (
        finding(WARN, "w", location=Location(str(tmp_path / "w.yaml"), 2)),
        finding(FAIL, "f", location=Location(str(tmp_path / "m" / "f.yaml"), 48, 13)),
    )
    made = report(verdict(FAIL, "a.a", "f", *found))
    options = ReportOptions(places=True, root=str(tmp_path))
    root = valid_junit(render_report(made, "junit", options), places=True)
    assert [case.place for case in read_as_gitlab(root)] == ["m/f.yaml"]
    assert [case.place for case in read_as_action_junit_report(root)] == ["m/f.yaml:48"]
    assert read_as_gitlab(valid_junit(render_report(made, "junit")))[0].place is None


def test_a_failure_tells_what_should_hold_each_finding_its_fix_and_its_evidence() -> None:
    shown = verdict(
        FAIL,
        "nodes.driver",
        "old",
        finding(FAIL, "old", fix="kubectl edit x", evidence={"driver": {"a": 535}, "nodes": ["a", "b"]}),
        finding(WARN, "and slow"),
        title="The driver is new enough",
    )
    (failure,) = cases(render_report(report(shown), "junit"))["nodes.driver"].result
    assert failure.text.splitlines() == [
        "The driver is new enough",
        "old",
        "    fix: kubectl edit x",
        "    seen: driver.a=535",
        "    seen: nodes=a, b",
        "warn: and slow",
    ]


def test_the_counts_are_those_of_the_report() -> None:
    made = every_outcome()
    read = junitparser.JUnitXml.fromstring(render_report(made, "junit").encode())
    skipped = sum(suite.skipped for suite in read)
    assert (read.tests, read.failures, read.errors, skipped) == (
        len(made.verdicts),
        made.summary[Outcome.FAIL],
        made.summary[Outcome.UNKNOWN] + made.summary[Outcome.ERROR],
        made.summary[Outcome.SKIP],
    )
    assert read.time == 2.14


def test_a_policy_may_show_unknown_as_skipped() -> None:
    text = render_report(server_down(), "junit", ReportOptions(junit_unknown="skipped"))
    root = valid_junit(text)
    assert (root.get("errors"), len(list(root.iter("skipped")))) == ("0", 16)
    skipped = root.find(".//skipped")
    assert skipped is not None
    assert skipped.get("type") == "unknown"
    assert "cannot reach" in skipped.get("message", "")


def test_a_policy_for_unknown_leaves_a_crash_an_error() -> None:
    root = valid_junit(render_report(every_outcome(), "junit", ReportOptions(junit_unknown="skipped")))
    assert [error.get("type") for error in root.iter("error")] == ["crash"]


def test_properties_name_tool_and_target() -> None:
    target = {
        "cluster": {"server": "https://a:6443", "context": "kind"},
        "namespace": None,
        "recipe": ["a", "b"],
    }
    root = valid_junit(render_report(report(verdict(WARN, "a.a", "m"), target=target), "junit"))
    assert {p.get("name"): p.get("value") for p in root.iter("property")} == {
        "tool.name": "dynocheck",
        "tool.version": "0.1.0",
        "command": "preflight",
        "cluster.server": "https://a:6443",
        "cluster.context": "kind",
        "recipe": "a, b",
    }
    assert root[0].get("timestamp") == "2026-03-01T12:00:00.000Z"


def test_a_report_without_verdicts_is_an_empty_document() -> None:
    root = valid_junit(render_report(report(), "junit"))
    assert (root.get("tests"), len(root)) == ("0", 0)


@pytest.mark.parametrize("seconds", [0.0, 0.000001, 0.00123, 12.5, 86400.0])
def test_a_time_is_never_written_with_an_exponent(seconds: float) -> None:
    slow = verdict(UNKNOWN, "a.a", "m", duration_s=seconds)
    (case,) = valid_junit(render_report(report(slow), "junit")).iter("testcase")
    assert float(case.get("time", "")) == pytest.approx(seconds, abs=0.0001)


def test_it_is_the_same_without_lxml(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = report(verdict(FAIL, "a.a", "a\tb\nc\x1b]]>", finding(FAIL, "<b>&amp;\r\n", fix="'\"")))
    with_lxml = render_report(hostile, "junit"), render_report(every_outcome(), "junit")
    monkeypatch.setattr("junitparser.junitparser.etree", ElementTree)
    assert (render_report(hostile, "junit"), render_report(every_outcome(), "junit")) == with_lxml
