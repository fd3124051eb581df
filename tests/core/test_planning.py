"""Which checks and probes a run has."""

from dynocheck.core.planning import plan
from dynocheck.facts import Access
from tests.core.house import Door, House, door, garden, hall, lamps, trees


def test_a_plan_has_the_probes_of_its_checks_and_their_rights() -> None:
    planned = plan([lamps], [garden, hall, door], {House})
    assert [probe.name for probe in planned.probes] == ["door", "hall"]
    assert planned.access == (Access("get", "doors"), Access("list", "lamps"))


def test_a_check_without_a_source_is_left_out() -> None:
    assert plan([trees], [garden, hall], {House}).checks == ()


def test_a_known_fact_needs_no_probe() -> None:
    planned = plan([trees], [garden, hall, door], {House}, known={Door})
    assert [probe.name for probe in planned.probes] == ["hall", "garden"]
