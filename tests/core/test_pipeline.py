"""How findings become verdicts."""

from collections.abc import Iterator

import pytest

from dynocheck import Finding, Result, Skip, check, fail, judged, unjudged, unknown, warn
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.outcomes import Outcome, Verdict, compute_exit_code
from dynocheck.core.pipeline import judge
from dynocheck.core.report_builder import build_report
from tests.core.house import Door, Garden, Hall, lamps, trees

KNOWN = Knowledge(facts={Garden: Garden(3)})


def judge_findings(*findings: Result, skip: str | None = None, level: Outcome | None = None) -> Verdict:
    @check("house.rows", title="Every row is watered")
    def rows(garden: Garden) -> Iterator[Result]:
        yield from findings
        if skip:
            raise Skip(skip)

    (verdict,) = judge([rows], KNOWN, {"house.rows": level} if level else {})
    return verdict


@pytest.mark.parametrize(
    ("findings", "skip", "outcome", "message"),
    [
        ((), None, Outcome.PASS, "Every row is watered"),
        ((), "no rows", Outcome.SKIP, "no rows"),
        ((warn("dry"),), "no more rows", Outcome.WARN, "dry"),
        ((warn("dry"), fail("on fire"), fail("gone")), None, Outcome.FAIL, "on fire (and 1 more)"),
        ((unknown("dark"), warn("dry")), None, Outcome.UNKNOWN, "dark"),
    ],
)
def test_the_worst_finding_decides(
    findings: tuple[Finding, ...], skip: str | None, outcome: Outcome, message: str
) -> None:
    verdict = judge_findings(*findings, skip=skip)
    assert (verdict.outcome, verdict.message, verdict.findings) == (outcome, message, findings)


def test_a_level_changes_warnings_and_failures_only() -> None:
    verdict = judge_findings(warn("dry"), fail("gone"), unknown("dark"), level=Outcome.WARN)
    assert [finding.outcome for finding in verdict.findings] == [Outcome.WARN, Outcome.WARN, Outcome.UNKNOWN]


@pytest.mark.parametrize(("crashed", "outcome"), [(False, Outcome.UNKNOWN), (True, Outcome.ERROR)])
def test_a_missing_fact_decides_every_check_that_takes_it(crashed: bool, outcome: Outcome) -> None:
    missing = MissingFact("the door is locked", "ring", crashed)
    verdicts = judge([trees, lamps], Knowledge(missing={Door: missing, Hall: missing, Garden: missing}))
    assert [(verdict.outcome, verdict.message) for verdict in verdicts] == [
        (outcome, "the door is locked")
    ] * 2


FERN = unjudged("fern", why="no book names it")


@pytest.mark.parametrize(
    ("results", "outcome", "message", "exits"),
    [
        ((judged(3, "plants"),), Outcome.PASS, "Every row is watered", (0, 0)),
        ((judged(3, "plants"), FERN), Outcome.PASS, "Every row is watered (3 of 4 plants judged)", (0, 3)),
        ((judged(3, "plants"), FERN, fail("dry")), Outcome.FAIL, "dry (3 of 4 plants judged)", (1, 1)),
        ((judged(0, "plants"), FERN), Outcome.UNJUDGED, "not judged: fern: no book names it", (3, 3)),
        ((FERN, FERN), Outcome.UNJUDGED, "not judged: fern: no book names it (and 1 more)", (3, 3)),
        ((FERN, warn("dry")), Outcome.WARN, "dry", (0, 1)),
    ],
)
def test_what_is_not_judged_is_counted(
    results: tuple[Result, ...], outcome: Outcome, message: str, exits: tuple[int, int]
) -> None:
    verdict = judge_findings(*results)
    assert verdict.outcome is outcome
    assert verdict.message.removesuffix(" (0 of 1 plants judged)") == message
    report = build_report("preflight", {}, [verdict], 0)
    assert (compute_exit_code(report), compute_exit_code(report, strict=True)) == exits


def test_all_findings_are_kept() -> None:
    assert len(judge_findings(*(warn("dry") for _ in range(3000)), fail("on fire")).findings) == 3001
