"""What code hosts show on the lines of a pull request: SARIF and workflow commands."""

from __future__ import annotations

import json
from typing import Any

from dynocheck.core.outcomes import Location, Outcome, Report, Subject
from dynocheck.reports import render_report
from tests.reports.samples import FAIL, PASS, SKIP, UNKNOWN, WARN, every_outcome, finding, report, verdict


def run(made: Report) -> dict[str, Any]:
    log = json.loads(render_report(made, "sarif"))
    assert log["version"] == "2.1.0"
    (only,) = log["runs"]
    return dict(only)


def on_a_line() -> Report:
    place = Location("recipes/a b/deploy.yaml", 12, 7)
    found = finding(FAIL, "TP 4 needs 4 GPUs", location=place, fix='set nvidia.com/gpu: "4"')
    return report(verdict(FAIL, "parallelism.gpus-match", "TP 4 needs 4 GPUs", found))


def test_a_finding_is_a_result_on_its_line() -> None:
    (result,) = run(on_a_line())["results"]
    assert result["ruleId"] == "parallelism.gpus-match"
    assert result["level"] == "error"
    assert result["message"]["text"] == 'TP 4 needs 4 GPUs\nFix: set nvidia.com/gpu: "4"'
    (place,) = result["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "recipes/a%20b/deploy.yaml"},
        "region": {"startLine": 12, "startColumn": 7},
    }


def test_an_object_of_a_cluster_is_a_logical_location() -> None:
    found = finding(WARN, "is old", subject=Subject("Pod", "p", "n"))
    (result,) = run(report(verdict(WARN, "gpu.operator", "is old", found)))["results"]
    assert result["level"] == "warning"
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "Pod n/p"


def test_every_rule_is_listed_and_pointed_to() -> None:
    told = run(every_outcome())
    rules = [rule["id"] for rule in told["tool"]["driver"]["rules"]]
    assert rules == [v.check for v in every_outcome().verdicts]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in told["results"])


def test_not_having_looked_is_no_result_and_no_success() -> None:
    blind = report(
        verdict(UNKNOWN, "gpu.operator", "forbidden", finding(UNKNOWN, "forbidden")),
        verdict(PASS, "gpu.nodes-present", "fine"),
        verdict(SKIP, "gaie.crds", "nothing asks"),
    )
    told = run(blind)
    assert told["results"] == []
    (invocation,) = told["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"]["text"] == "forbidden"
    assert run(on_a_line())["invocations"][0]["executionSuccessful"] is True


def test_a_workflow_command_a_finding() -> None:
    assert render_report(on_a_line(), "github") == (
        "::error title=parallelism.gpus-match%3A fail,file=recipes/a b/deploy.yaml,line=12,col=7"
        '::TP 4 needs 4 GPUs%0Afix: set nvidia.com/gpu: "4"\n'
    )
    assert render_report(report(verdict(PASS, "a.b", "fine"), verdict(SKIP, "a.c", "no")), "github") == ""


def test_what_a_cluster_says_starts_no_command_of_its_own() -> None:
    evil = "x\n::add-mask::100%\r\n::set-env name=A::b"
    found = finding(
        Outcome.WARN, evil, subject=Subject("Pod", "a,file=other:1"), location=Location("a,b:c%", 1)
    )
    text = render_report(report(verdict(WARN, "a.b", evil, found)), "github")
    assert text.count("\n") == 1
    assert text.startswith("::warning title=a.b%3A warn,file=a%2Cb%3Ac%25,line=1::")
    assert "100%25" in text
