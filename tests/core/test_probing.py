"""Probes that run concurrently, some of which take the facts of others."""

import time
from typing import Any

import pytest

from dynocheck import Unavailable, probe
from dynocheck.core.cancellation import Interruption
from dynocheck.core.errors import UsageError
from dynocheck.core.knowledge import Knowledge, MissingFact
from dynocheck.core.probing import gather
from tests.core.house import Door, Garden, Hall, House, door, garden, gather_facts, hall


def test_a_probe_runs_after_those_whose_facts_it_takes() -> None:
    house = House()
    knowledge = gather_facts(garden, hall, door, house=house)
    assert knowledge.facts == {Door: Door(True), Hall: Hall(2), Garden: Garden(2)}
    assert house.calls == ["door", "hall", "garden"]


def test_known_and_missing_facts_reach_the_probes() -> None:
    sources: dict[type, House] = {House: House()}
    known = Knowledge(facts={Door: Door(False)})
    assert gather([hall, garden], sources, timeout_s=5, known=known).facts[Garden] == Garden(0)
    missing = MissingFact("the door is locked", "ring")
    known = Knowledge(missing={Door: missing})
    assert gather([hall, garden], sources, timeout_s=5, known=known).missing[Garden] == missing


def test_a_missing_fact_is_missing_to_the_probes_that_take_it() -> None:
    @probe()
    def locked(house: House) -> Door:
        raise Unavailable("the door is locked", fix="ring")

    missing = MissingFact("the door is locked", "ring")
    assert gather_facts(garden, hall, locked).missing == dict.fromkeys((Door, Hall, Garden), missing)


def test_a_usage_error_of_a_probe_ends_the_run() -> None:
    @probe()
    def misnamed(house: House) -> Door:
        raise UsageError("no such house")

    with pytest.raises(UsageError, match="no such house"):
        gather_facts(garden, hall, misnamed)


def test_a_stuck_probe_does_not_hold_up_the_run() -> None:
    house = House()

    @probe()
    def stuck(house: House) -> Door:
        house.released.wait()
        return Door(True)

    knowledge = gather_facts(garden, hall, stuck, house=house, timeout_s=0.1)
    house.released.set()
    reason = "stuck: no answer within 0.1 s"
    assert knowledge == Knowledge(missing=dict.fromkeys((Door, Hall, Garden), MissingFact(reason)))


def test_waiting_for_another_probe_is_not_counted_in_the_timeout() -> None:
    @probe(limit=lambda house: 5.0)
    def slow(house: House) -> Door:
        time.sleep(0.9)
        return Door(True)

    assert Garden in gather_facts(garden, hall, slow, timeout_s=0.1).facts


def test_an_interrupted_run_keeps_its_facts() -> None:
    house = House()

    @probe()
    def stuck(house: House, door: Door) -> Hall:
        house.released.wait()
        return Hall(0)

    def progress(names: Any) -> None:
        if list(names) == ["stuck"]:
            raise KeyboardInterrupt

    knowledge = gather_facts(garden, stuck, door, house=house, progress=progress)
    house.released.set()
    assert knowledge.interrupted
    assert knowledge.facts == {Door: Door(True)}
    assert set(knowledge.missing) == {Hall, Garden}
    assert all("interrupted" in missing.reason for missing in knowledge.missing.values())
    assert "garden" not in house.calls


def test_a_probe_that_takes_the_interruption_returns_what_it_has() -> None:
    house = House()

    @probe()
    def patient(house: House, door: Door, interruption: Interruption) -> Hall:
        with interruption.on_interrupt(house.released.set):
            house.calls.append("patient")
            house.released.wait()
        return Hall(7)

    def progress(names: Any) -> None:
        if "patient" in house.calls:
            raise KeyboardInterrupt

    knowledge = gather_facts(patient, door, house=house, progress=progress)
    assert knowledge == Knowledge({Door: Door(True), Hall: Hall(7)}, {}, interrupted=True)


def test_an_interruption_calls_back_once_also_when_it_came_before() -> None:
    interruption = Interruption()
    interruption.trigger()
    calls: list[str] = []
    with interruption.on_interrupt(lambda: calls.append("now")):
        assert calls == ["now"]
    interruption.trigger()
    assert calls == ["now"]


def test_progress_names_only_running_probes() -> None:
    house = House()
    shown: list[list[str]] = []

    @probe()
    def slow(house: House) -> Door:
        house.released.wait(5)
        return Door(True)

    def progress(names: Any) -> None:
        shown.append(list(names))
        if list(names) == ["slow"]:
            house.released.set()

    gather_facts(garden, hall, slow, house=house, progress=progress)
    assert ["slow"] in shown
