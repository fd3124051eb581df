"""What code hosts show on the lines of a pull request: SARIF and workflow commands."""

import json
import re
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from dynocheck.core.outcomes import Finding, FindingRef, Location, Outcome, Report, Subject, unjudged
from dynocheck.reports import ReportOptions, render_report
from tests.reports.samples import (
    FAIL,
    PASS,
    SKIP,
    UNKNOWN,
    WARN,
    every_outcome,
    finding,
    lone,
    partly_judged,
    report,
    verdict,
)
from tests.reports.schemas import valid_sarif

_HERE = ReportOptions()
WORDS = [f"{letter}{letter}s" for letter in ascii_lowercase]


def run(made: Report, options: ReportOptions = _HERE) -> dict[str, Any]:
    log = valid_sarif(render_report(made, "sarif", options))
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
        "artifactLocation": {"uri": "recipes/a%20b/deploy.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 12, "startColumn": 7},
    }


def test_an_object_of_a_cluster_is_a_logical_location_in_a_file_that_stands_for_it() -> None:
    found = finding(WARN, "is old", subject=Subject("Pod", "p", "n"))
    alone = finding(WARN, "no GPU anywhere")
    pod, cluster = run(report(verdict(WARN, "gpu.operator", "is old", found, alone)))["results"]
    assert pod["level"] == "warning"
    (place,) = pod["locations"]
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "Pod n/p"
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "cluster/n/Pod/p"}
    assert cluster["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "cluster"}


def test_a_file_elsewhere_has_its_whole_address() -> None:
    found = finding(FAIL, "m", location=Location("/elsewhere/a.yaml"))
    (result,) = run(report(verdict(FAIL, "a.b", "m", found)))["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "file:///elsewhere/a.yaml"},
        "region": {"startLine": 1},
    }


def test_files_are_named_from_the_root(tmp_path: Path) -> None:
    found = finding(FAIL, "m", location=Location(str(tmp_path / "r" / "a.yaml"), 3))
    told = run(report(verdict(FAIL, "a.b", "m", found)), ReportOptions(root=str(tmp_path)))
    (result,) = told["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "r/a.yaml"
    assert told["originalUriBaseIds"] == {"%SRCROOT%": {"uri": f"{tmp_path.as_uri()}/"}}


def test_a_fingerprint_stays_and_is_unique() -> None:
    def prints(*found: Finding) -> list[str]:
        results = run(report(verdict(FAIL, "a.b", "m", *found)))["results"]
        return [result["partialFingerprints"]["dynocheck/v1"] for result in results]

    old = finding(FAIL, "w: TP 4 needs 4 GPUs", location=Location("a.yaml", 3))
    moved = finding(FAIL, "w: TP 8 needs 8 GPUs", location=Location("a.yaml", 9))
    other = finding(FAIL, "x: TP 4 needs 4 GPUs", location=Location("a.yaml", 3))
    assert prints(old) == prints(moved)
    assert len(set(prints(old, moved, other))) == 3


def test_a_rule_says_why_it_matters_and_how_to_fix_it() -> None:
    page = "Pods stay Pending.\n\nThey have no node.\n\nFix: kubectl get nodes\n  and wait"
    options = ReportOptions(documentation={"a.b": page})
    made = report(verdict(FAIL, "a.b", "m", title="t"), verdict(PASS, "a.c", "m", title="u"))
    told, plain = run(made, options)["tool"]["driver"]["rules"]
    assert told["fullDescription"]["text"] == "Pods stay Pending. They have no node."
    assert (
        told["help"]["text"]
        == "Pods stay Pending.\n\nThey have no node.\n\nFix: kubectl get nodes\n  and wait"
    )
    assert "```text\nkubectl get nodes\n  and wait\n```" in told["help"]["markdown"]
    assert told["defaultConfiguration"] == {"level": "error"}
    assert plain["help"]["text"] == "u"


def test_the_worst_come_first_and_what_is_left_out_is_counted() -> None:
    warned = [finding(WARN, f"w{n} is old") for n in range(20_000)]
    failed = [finding(FAIL, f"f{n} is gone") for n in range(5_100)]
    text = render_report(report(verdict(FAIL, "a.b", "m", *warned, *failed)), "sarif", _HERE)
    (many,) = json.loads(text)["runs"]  # a validator needs ten seconds for as many, which are all alike
    assert len(many["results"]) == 25_000
    assert {result["level"] for result in many["results"][:5_100]} == {"error"}
    (told,) = many["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"].startswith("100 of 25100 results are left out")
    assert many["invocations"][0]["executionSuccessful"] is True
    some = run(report(verdict(FAIL, "a.b", "m", *failed)))
    assert len(some["results"]) == 5_100
    (told,) = some["invocations"][0]["toolExecutionNotifications"]
    assert (told["level"], "5,000 of 5100" in told["message"]["text"]) == ("note", True)


def test_every_rule_is_listed_and_pointed_to() -> None:
    told = run(every_outcome())
    rules = [rule["id"] for rule in told["tool"]["driver"]["rules"]]
    assert rules == [v.check for v in every_outcome().verdicts]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in told["results"])


def test_not_having_looked_is_no_result_and_no_success() -> None:
    blind = report(
        lone(UNKNOWN, "gpu.operator", "forbidden"),
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
    assert render_report(on_a_line(), "github", ReportOptions(root="")) == (
        "::error title=parallelism.gpus-match%3A fail,file=recipes/a b/deploy.yaml,line=12,col=7"
        '::TP 4 needs 4 GPUs%0Afix: set nvidia.com/gpu: "4"\n'
    )
    assert render_report(report(verdict(PASS, "a.b", "fine"), verdict(SKIP, "a.c", "no")), "github") == ""


def commands(text: str) -> list[tuple[str, str, str]]:
    """The commands of a text: name, properties and message, as the runner reads them."""
    found = [re.fullmatch(r"::(\w+) (.*?)::(.*)", line) for line in text.splitlines()]
    return [(match[1], match[2], match[3]) for match in found if match]


def many_places(many: int) -> Report:
    """One cause in so many files, and one warning."""
    found = [
        finding(FAIL, "w: TP 4 needs 4 GPUs", location=Location(f"/r/m{n}/deploy.yaml", n + 1), fix="set 4")
        for n in range(many)
    ]
    warned = lone(WARN, "a.c", "old", subject=Subject("Node", "n"))
    return report(warned, verdict(FAIL, "a.b", "m", *found))


def test_a_cause_is_annotated_once_before_it_is_annotated_in_more_places() -> None:
    told = commands(render_report(many_places(3400), "github", ReportOptions(root="/r")))
    assert [name for name, _, _ in told] == ["error"] * 10 + ["warning", "notice"]
    files = [properties.partition("file=")[2].partition(",")[0] for _, properties, _ in told[:10]]
    assert files == [f"m{n}/deploy.yaml" for n in range(10)], "from the root of the repository"
    assert "also: m10/deploy.yaml:11, m11/deploy.yaml:12, m12/deploy.yaml:13 +3387" in told[0][2]
    assert "also:" not in told[1][2]
    assert told[-1][2].startswith("3390 more errors in 2 causes")


def test_what_is_not_judged_is_annotated_where_it_decides() -> None:
    items = tuple(unjudged(f"image {n}", why="no table for it", needs="its release") for n in range(3))
    part = partly_judged(*items)
    assert render_report(report(part), "github") == ""
    ((name, _, text),) = commands(render_report(report(part), "github", ReportOptions(strict=True)))
    assert (name, text) == (
        "error",
        "not judged: image 0: no table for it (needs its release), which --strict counts (a.part), "
        "and 2 more",
    )


def test_what_the_runner_shows_needs_no_notice() -> None:
    told = commands(render_report(many_places(9), "github"))
    assert [name for name, _, _ in told] == ["error"] * 9 + ["warning"]
    assert "also:" not in told[0][2]


def test_of_more_causes_than_the_runner_shows_the_worst_are_shown() -> None:
    rare = lone(FAIL, "z.rare", "rare and bad")
    unknown = [lone(UNKNOWN, f"u.u-{word}", f"may not list {word}") for word in WORDS]
    told = commands(render_report(report(*unknown, rare), "github"))
    assert [name for name, _, _ in told] == ["error"] * 10 + ["notice"]
    assert "rare and bad" in told[0][2]


def test_a_consequence_is_told_with_its_cause() -> None:
    cause = lone(FAIL, "a.cause", "the cause")
    effect = lone(FAIL, "a.effect", "the effect", explained_by=FindingRef("a.cause", 0))
    ((_, _, text),) = commands(render_report(report(cause, effect), "github"))
    assert text == "the cause%0Aleads to: the effect (a.effect)"


def test_what_a_cluster_says_starts_no_command_of_its_own() -> None:
    evil = "x\n::add-mask::100%\r\n::set-env name=A::b"
    found = finding(
        Outcome.WARN, evil, subject=Subject("Pod", "a,file=other:1"), location=Location("/a,b:c%", 1)
    )
    text = render_report(report(verdict(WARN, "a.b", evil, found)), "github")
    assert text.count("\n") == 1
    assert text.startswith("::warning title=a.b%3A warn,file=/a%2Cb%3Ac%25,line=1::")
    assert "100%25" in text
