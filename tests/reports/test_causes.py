"""Findings are grouped by cause."""

from typing import Any

import pytest

from dynocheck.core.outcomes import Finding, FindingRef, Location, Outcome, Report, Subject, Verdict, unjudged
from dynocheck.reports._causes import group_causes, group_unjudged
from tests.reports.samples import (
    ERROR,
    FAIL,
    PASS,
    UNKNOWN,
    WARN,
    finding,
    lone,
    partly_judged,
    report,
    verdict,
)


def groups(shown: Report) -> list[list[str]]:
    """The messages of each cause."""
    return [[each.finding.message for each in cause.occurrences] for cause in group_causes(shown)]


def one_check(*findings: Finding) -> Report:
    return report(verdict(FAIL, "nodes.a", findings[0].message, *findings))


def two(first: str, second: str, fixes: tuple[str | None, str | None] = ("mend it", "mend it")) -> int:
    """How many causes two findings of a check have."""
    pair = (finding(FAIL, text, fix=fix) for text, fix in zip((first, second), fixes, strict=True))
    return len(groups(one_check(*pair)))


@pytest.mark.parametrize(
    ("first", "second", "causes"),
    [
        # they differ in names and numbers
        ("Job qwen-bench has no timeout", "Job llama-bench has no timeout", 1),
        ("is held by Pod dynamo/a-1 and 2 more", "is held by Pod dynamo/b-0 and 5 more", 1),
        ("VllmDecodeWorker has no token", "VllmPrefillWorker has no token", 1),
        ("decode spans 2 nodes", "prefill spans 4 nodes", 1),
        ("decode exchanges blocks with prefill workers", "prefill exchanges blocks with decode workers", 1),
        ("the router routes, but agg is silent", "the router routes, but prefill is silent", 1),
        ("agg: 1 of 1 replica cannot run", "Frontend: 3 of 3 replicas (2 pods each) cannot run", 1),
        ("of the same kind, g1, g2 fit", "of the same kind, g1, g2, g3 fit", 1),
        ('key "a b" is not known', 'key "c" is not known', 1),
        ("spec.services.A.replicas: must be a number", "spec.services.B.replicas: must be a number", 1),
        # other words are another cause
        ("Job a-b has no timeout", "Job a-b has no retries, and is large", 2),
        ("worker-1 has no --tp", "worker-1 has no --ep", 2),
        ("image: <registry> is not replaced", "image: <tag> is not replaced", 2),
        ("needs 8 nvidia.com/gpu", "needs 8 rdma/ib", 2),
        ("worker-1 has no activeDeadlineSeconds", "worker-1 has no backoffLimit", 2),
        ("spec.services.A.replicas: must be a number", "spec.services.A.image: must be a number", 2),
    ],
)
def test_messages_that_have_one_cause(first: str, second: str, causes: int) -> None:
    assert two(first, second) == causes


@pytest.mark.parametrize(
    ("fixes", "causes"),
    [
        (("kubectl drain gpu-1", "kubectl drain gpu-2"), 1),
        (("set gpu: 4", "set gpu: 8"), 1),
        (("kubectl drain gpu-1", "kubectl delete node gpu-2"), 2),
        (("kubectl drain gpu-1", None), 2),
        (("write --enable-x", "write --enable-y"), 2),
    ],
)
def test_another_kind_of_fix_is_another_cause(fixes: tuple[str | None, str | None], causes: int) -> None:
    assert two("gpu-1 is down", "gpu-2 is down", fixes) == causes


def test_without_a_fix_one_other_word_is_another_cause() -> None:
    assert two("decode is slow", "decode is lost", (None, None)) == 2


def test_the_name_of_an_object_is_no_difference() -> None:
    nodes = [
        finding(WARN, "is cordoned", subject=Subject("Node", name), fix=f"kubectl uncordon {name}")
        for name in ("red", "blue")
    ]
    (cause,) = group_causes(one_check(*nodes))
    assert cause.places == ("Node red", "Node blue")
    assert cause.fix == "kubectl uncordon red"


def test_a_place_names_what_differs_there() -> None:
    found = [
        finding(WARN, f"graph {name} has 2 faults", fix="mend it", location=Location("d.yaml", line))
        for line, name in ((1, "qwen-a"), (2, "qwen-a"), (3, "qwen-b"), (3, "qwen-b"))
    ]
    (cause,) = group_causes(one_check(*found))
    assert cause.places == ("d.yaml:1", "d.yaml:2", "d.yaml:3 (qwen-b)")
    assert len(cause.occurrences) == 4


def test_the_worst_come_first_and_then_the_largest() -> None:
    shown = report(
        verdict(WARN, "a.a", "slow", *(finding(WARN, "slow") for _ in range(9))),
        lone(UNKNOWN, "a.b", "dark"),
        verdict(FAIL, "a.c", "gone", finding(FAIL, "gone"), finding(WARN, "and slow")),
        verdict(FAIL, "a.d", "torn", *(finding(FAIL, "torn") for _ in range(2))),
        verdict(PASS, "a.e", "well"),
    )
    assert [cause.message for cause in group_causes(shown)] == ["torn", "gone", "dark", "slow", "and slow"]


def test_checks_that_could_not_look_for_one_reason_have_one_cause() -> None:
    def dark(check: str, message: str, **more: Any) -> Verdict:
        return lone(UNKNOWN, check, message, **more)

    shown = report(
        dark("nodes.a", "may not list nodes", fix="dynocheck rbac"),
        dark("nodes.b", "may not list pods", fix="dynocheck rbac"),
        dark("nodes.c", "nodes_all: no answer within 10 s"),
        dark("nodes.d", "pods_all: no answer within 10 s"),
        dark("nodes.e", "the server is gone"),
    )
    assert [len(cause.verdicts) for cause in group_causes(shown)] == [2, 2, 1]


def test_two_crashes_are_two_causes() -> None:
    crash = "crashed: KeyError in nodes.py, line "
    crashes = (lone(ERROR, f"nodes.{n}", f"{crash}{line}") for n, line in enumerate((31, 31, 45)))
    assert [len(cause.verdicts) for cause in group_causes(report(*crashes))] == [2, 1]


def test_what_follows_lies_below_its_cause_and_makes_it_larger() -> None:
    no_gpu = FindingRef("gpu.operator", 0)
    shown = report(
        verdict(
            FAIL, "gpu.b", "m", finding(FAIL, "none fits", explained_by=no_gpu), finding(FAIL, "too large")
        ),
        verdict(FAIL, "gpu.c", "m", finding(WARN, "not seen", explained_by=FindingRef("gpu.b", 0))),
        lone(FAIL, "gpu.operator", "no operator"),
    )
    first, second = group_causes(shown)
    assert (first.message, second.message) == ("no operator", "too large")
    assert [effect.message for effect in first.effects] == ["none fits", "not seen"]
    assert (first.size, second.size) == (3, 1)


@pytest.mark.parametrize("ref", [FindingRef("gpu.a", 0), FindingRef("gpu.a", 7), FindingRef("gpu.gone", 0)])
def test_a_finding_whose_explanation_is_not_there_stands_for_itself(ref: FindingRef) -> None:
    shown = report(lone(FAIL, "gpu.a", "none", explained_by=ref))
    assert [cause.message for cause in group_causes(shown)] == ["none"]


def test_findings_that_explain_each_other_are_all_shown() -> None:
    shown = report(
        verdict(FAIL, "gpu.a", "a", finding(FAIL, "one", explained_by=FindingRef("gpu.b", 0))),
        verdict(FAIL, "gpu.b", "b", finding(FAIL, "other", explained_by=FindingRef("gpu.a", 0))),
    )
    assert sum(cause.size for cause in group_causes(shown)) == 2


def test_a_verdict_without_findings_stands_for_itself() -> None:
    shown = report(verdict(FAIL, "gpu.a", "none"), verdict(PASS, "gpu.b", "well"))
    assert [(cause.message, cause.outcome) for cause in group_causes(shown)] == [("none", Outcome.FAIL)]


def test_what_was_not_judged_is_grouped_by_what_would_let_us() -> None:
    seen = [
        *(unjudged(f"image {n}", why="no release in its tag", needs="a tag") for n in range(3)),
        unjudged("image x", why="no table for 1.9", needs="a newer dynocheck"),
    ]
    made = report(partly_judged(*reversed(seen)))
    assert [(group.why, group.needs, len(group.items)) for group in group_unjudged(made)] == [
        ("no release in its tag", "a tag", 3),
        ("no table for 1.9", "a newer dynocheck", 1),
    ]
