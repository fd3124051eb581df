"""Findings that follow from others point at them."""

from collections.abc import Iterator, Mapping

import pytest

from dynocheck import Finding, Location, Subject, anywhere, check, fail, mentions, same_place, unknown, warn
from dynocheck.core.explanations import Relation
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.outcomes import FindingRef, Outcome, compute_exit_code
from dynocheck.core.pipeline import Pipeline
from dynocheck.core.registry import load
from dynocheck.core.report_builder import build_report
from tests.core.house import Garden, NoSuppressions

WELL = FindingRef("house.well", 0)
SHED, POND = Subject("Place", "shed"), Subject("Place", "pond")


def explain(cause: Finding, effect: Finding, relations: Mapping[str, Relation]) -> FindingRef | None:
    """What explains the effect, when house.well yields the cause."""

    @check("house.well", title="The well has water")
    def well(garden: Garden) -> Iterator[Finding]:
        yield cause

    @check("house.trees", title="The trees are green", explained_by=relations)
    def trees(garden: Garden) -> Iterator[Finding]:
        yield effect

    knowledge = Knowledge(facts={Garden: Garden(3)})
    found, dry = Pipeline([well, trees], {}, NoSuppressions()).decide(knowledge)
    assert dry.findings[0].explained_by is None
    assert (found.outcome, found.message) == (effect.outcome, effect.message)
    return found.findings[0].explained_by


@pytest.mark.parametrize(
    ("cause", "effect", "relation", "explained"),
    [
        (fail("dry"), fail("brown"), anywhere, True),
        (fail("dry", subject=SHED), fail("brown", subject=POND), anywhere, True),
        (fail("dry", subject=SHED), warn("brown", subject=SHED), same_place, True),
        (fail("dry", subject=SHED), fail("brown", subject=POND), same_place, False),
        (fail("dry"), fail("brown"), same_place, False),
        (fail("a", location=Location("f", 3, 1)), fail("b", location=Location("f", 3, 9)), same_place, True),
        (fail("a", location=Location("f", 3)), fail("b", location=Location("f", 4)), same_place, False),
        (fail("a", location=Location("f", 3)), fail("b", location=Location("f", 4)), anywhere, True),
        (fail("a", evidence={"well": "north"}), fail("north of it is dry"), mentions("well"), True),
        (fail("a", evidence={"well": "north"}), fail("south of it is dry"), mentions("well"), False),
        (fail("a"), fail("None of it is dry"), mentions("well"), False),
        (fail("a", location=Location("f", 3)), fail("b", location=Location("g", 3)), anywhere, False),
        (fail("dry"), fail("b", location=Location("g", 3)), anywhere, True),
        (warn("low"), warn("brown"), anywhere, True),
        (warn("low"), fail("brown"), anywhere, True),
        (unknown("dark"), warn("brown"), anywhere, False),
        (fail("dry"), unknown("dark"), anywhere, False),
    ],
)
def test_what_explains_what(cause: Finding, effect: Finding, relation: Relation, explained: bool) -> None:
    assert explain(cause, effect, {"house.well": relation}) == (WELL if explained else None)


def test_a_check_that_did_not_run_explains_nothing() -> None:
    assert explain(fail("dry"), fail("brown"), {"house.roof": anywhere}) is None


def test_what_is_explained_counts_all_the_same() -> None:
    @check("house.well", title="The well has water", explained_by={"house.trees": anywhere})
    def well(garden: Garden) -> Iterator[Finding]:
        yield fail("dry")

    @check("house.trees", title="The trees are green", explained_by={"house.well": anywhere})
    def trees(garden: Garden) -> Iterator[Finding]:
        yield fail("brown")

    verdicts = Pipeline([well, trees], {}, NoSuppressions()).decide(Knowledge(facts={Garden: Garden(3)}))
    made = build_report("recipe", {}, verdicts, 0.0)
    assert made.summary[Outcome.FAIL] == 2
    assert compute_exit_code(made) == 1


def test_checks_are_explained_by_checks_that_exist_and_not_in_a_circle() -> None:
    registry = load()
    # A finding may be explained by another one of its own check.
    explained = {each.id: {*each.explained_by} - {each.id} for each in registry.checks if each.explained_by}
    assert {cause for causes in explained.values() for cause in causes} <= registry.by_id.keys()
    while roots := [each for each, causes in explained.items() if not causes & explained.keys()]:
        for each in roots:
            del explained[each]
    assert explained == {}
