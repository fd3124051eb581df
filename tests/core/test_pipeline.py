"""How findings become verdicts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dynocheck import Finding, Skip, check, fail, unknown, warn
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.outcomes import Outcome, Verdict
from dynocheck.core.pipeline import MAX_FINDINGS, judge
from tests.core.house import Door, Garden, Hall, lamps, trees

KNOWN = Knowledge(facts={Garden: Garden(3)})


def judge_findings(*findings: Finding, skip: str | None = None, level: Outcome | None = None) -> Verdict:
    @check("house.rows", title="Every row is watered")
    def rows(garden: Garden) -> Iterator[Finding]:
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


def test_findings_beyond_the_maximum_are_counted() -> None:
    verdict = judge_findings(*(warn("dry") for _ in range(MAX_FINDINGS)), fail("on fire"))
    assert (verdict.outcome, verdict.message) == (Outcome.FAIL, "on fire")
    assert len(verdict.findings) == MAX_FINDINGS + 1
    assert verdict.findings[0].message == "on fire"
    assert verdict.findings[-1] == warn("1 more finding not shown")
