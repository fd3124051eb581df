"""Probes that look with the help of what other probes saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dynocheck import Finding, Unavailable, check, fail, probe, warn
from dynocheck.core import runner
from dynocheck.core.cancellation import Interruption
from dynocheck.core.errors import UsageError
from dynocheck.core.outcomes import Outcome
from dynocheck.core.registry import Probe
from dynocheck.facts import Access, Fact


class House:
    """What there is to look at."""

    def __init__(self) -> None:
        self.looked: list[str] = []
        self.closed = threading.Event()  # a door that stays shut until it is set


class Door(Fact, frozen=True):
    opened: bool


class Hall(Fact, frozen=True):
    lamps: int


class Garden(Fact, frozen=True):
    trees: int


@probe(access=[Access("get", "doors")])
def door(house: House) -> Door:
    house.looked.append("door")
    return Door(True)


@probe(access=[Access("list", "lamps")])
def hall(house: House, door: Door) -> Hall:
    house.looked.append("hall")
    return Hall(2 if door.opened else 0)


@probe()
def garden(house: House, hall: Hall, door: Door) -> Garden:
    house.looked.append("garden")
    return Garden(hall.lamps)


@check("house.trees", title="There are trees")
def trees(garden: Garden) -> Iterator[Finding]:
    if not garden.trees:
        yield fail("no trees")


@check("house.lamps", title="There are lamps")
def lamps(hall: Hall) -> None:
    pass


def gathered(
    *probes: Probe, house: House | None = None, timeout_s: float = 5, **more: Any
) -> runner.Knowledge:
    plan = runner.plan([trees, lamps], probes, {House})
    return runner.gather(plan.probes, {House: house or House()}, timeout_s=timeout_s, **more)


def test_a_probe_waits_for_the_facts_it_looks_at() -> None:
    house = House()
    knowledge = gathered(garden, hall, door, house=house)
    assert knowledge.facts == {Door: Door(True), Hall: Hall(2), Garden: Garden(2)}
    assert house.looked == ["door", "hall", "garden"]


def test_a_plan_holds_what_its_probes_look_at_and_their_rights() -> None:
    plan = runner.plan([lamps], [garden, hall, door], {House})
    assert [p.name for p in plan.probes] == ["door", "hall"]
    assert plan.access == (Access("get", "doors"), Access("list", "lamps"))
    assert runner.plan([trees], [garden, hall], {House}).checks == ()


def test_a_fact_that_is_known_needs_no_probe() -> None:
    plan = runner.plan([trees], [garden, hall, door], {House}, known={Door})
    assert [p.name for p in plan.probes] == ["hall", "garden"]
    known = runner.Knowledge(facts={Door: Door(False)})
    seen = runner.gather(plan.probes, {House: House()}, timeout_s=5, known=known)
    assert seen.facts[Garden] == Garden(0)


def test_what_is_missing_is_missing_to_all_above() -> None:
    @probe()
    def locked(house: House) -> Door:
        raise Unavailable("the door is locked", fix="ring")

    seen = gathered(garden, hall, locked)
    missing = runner.MissingFact("the door is locked", "ring")
    assert seen.missing == dict.fromkeys((Door, Hall, Garden), missing)
    verdicts = runner.judge([trees, lamps], seen)
    assert [(v.outcome, v.message) for v in verdicts] == [(Outcome.UNKNOWN, "the door is locked")] * 2

    recorded = runner.Knowledge(missing={Door: missing})
    plan = runner.plan([trees], [garden, hall], {House}, known={Door})
    assert (
        runner.gather(plan.probes, {House: House()}, timeout_s=5, known=recorded).missing[Garden] == missing
    )


def test_our_own_fault_below_is_told_as_that() -> None:
    @probe()
    def broken(house: House) -> Door:
        raise ZeroDivisionError

    (verdict, _) = runner.judge([trees, lamps], gathered(garden, hall, broken))
    assert verdict.outcome is Outcome.ERROR


def test_a_wrong_name_found_below_ends_the_run() -> None:
    @probe()
    def misnamed(house: House) -> Door:
        raise UsageError("no such house")

    with pytest.raises(UsageError, match="no such house"):
        gathered(garden, hall, misnamed)


def test_a_stuck_probe_holds_nobody() -> None:
    house = House()

    @probe()
    def stuck(house: House) -> Door:
        house.closed.wait()
        return Door(True)

    seen = gathered(garden, hall, stuck, house=house, timeout_s=0.1)
    assert {missing.reason for missing in seen.missing.values()} == {"stuck: no answer within 0.1 s"}
    assert seen.facts == {}
    house.closed.set()


def test_waiting_for_others_takes_none_of_a_probes_own_time() -> None:
    @probe(limit=lambda house: 5.0)
    def slow(house: House) -> Door:
        time.sleep(0.9)
        return Door(True)

    assert Garden in gathered(garden, hall, slow, timeout_s=0.1).facts


def test_an_interrupted_run_keeps_what_was_learnt() -> None:
    house = House()

    @probe()
    def stuck(house: House, door: Door) -> Hall:
        house.closed.wait()
        return Hall(0)

    def progress(names: Any) -> None:
        if list(names) == ["stuck"]:
            raise KeyboardInterrupt

    seen = gathered(garden, stuck, door, house=house, progress=progress)
    assert seen.interrupted
    assert seen.facts == {Door: Door(True)}
    assert set(seen.missing) == {Hall, Garden}
    assert all("interrupted" in missing.reason for missing in seen.missing.values())
    house.closed.set()
    assert "garden" not in house.looked


def test_a_probe_that_heeds_an_interrupt_gives_what_it_has() -> None:
    house = House()

    @probe()
    def heeding(house: House, door: Door, interruption: Interruption) -> Hall:
        with interruption.on_interrupt(house.closed.set):
            house.looked.append("heeding")
            house.closed.wait()
        return Hall(7)

    def progress(names: Any) -> None:
        if "heeding" in house.looked:
            raise KeyboardInterrupt

    seen = gathered(heeding, door, house=house, progress=progress)
    assert seen.interrupted
    assert seen.facts == {Door: Door(True), Hall: Hall(7)}


def test_an_interrupt_that_came_first_is_heeded_too() -> None:
    interruption = Interruption()
    interruption.trigger()
    told: list[str] = []
    with interruption.on_interrupt(lambda: told.append("now")):
        assert told == ["now"]
    interruption.trigger()
    assert told == ["now"]


def test_only_probes_that_look_are_told_of() -> None:
    house = House()
    told: list[list[str]] = []

    @probe()
    def slow(house: House) -> Door:
        house.closed.wait(5)
        return Door(True)

    def progress(names: Any) -> None:
        told.append(list(names))
        if list(names) == ["slow"]:
            house.closed.set()

    gathered(garden, hall, slow, house=house, progress=progress)
    assert ["slow"] in told


def test_more_findings_than_anybody_reads_are_counted() -> None:
    @check("house.rows", title="Every row is watered")
    def rows(garden: Garden) -> Iterator[Finding]:
        yield from (warn("dry") for _ in range(runner.MAX_FINDINGS))
        yield fail("on fire")

    known = runner.Knowledge(facts={Garden: Garden(3)})
    (verdict,) = runner.judge([rows], known)
    assert (verdict.outcome, verdict.message) == (Outcome.FAIL, "on fire")
    assert len(verdict.findings) == runner.MAX_FINDINGS + 1
    assert verdict.findings[0].message == "on fire"
    assert (verdict.findings[-1].outcome, verdict.findings[-1].message) == (
        Outcome.WARN,
        "and 1 more like these",
    )
