"""Which checks and probes a run loads."""

from typing import Any

import pytest

from dynocheck.core.declarations import Check
from dynocheck.core.options import CommonOptions
from dynocheck.core.run_config import RunConfig
from dynocheck.facts import DiagnosisFact, Fact, Settings


def test_a_diagnosis_loads_what_it_can_judge_and_no_more() -> None:
    options = CommonOptions(no_plugins=True)
    whole, part = RunConfig.resolve(options), RunConfig.resolve(options, (), DiagnosisFact)
    provided = {probe.provides: probe for probe in whole.registry.probes}
    judged = [c for c in whole.select_checks(options, DiagnosisFact) if needs_of(c) & provided.keys()]
    assert [*part.select_checks(options, DiagnosisFact)] == judged
    probes = {provided[fact] for check in judged for fact in needs_of(check) & provided.keys()}
    assert probes <= {*part.registry.probes}
    assert len(part.registry.checks) < len(whole.registry.checks) / 4


@pytest.mark.parametrize("given", [{"skip": ("storage.*",)}, {"select": ("symptom.*",)}, {"snapshot": "x"}])
def test_all_is_loaded_where_another_area_may_be_meant(given: dict[str, Any]) -> None:
    options = CommonOptions(no_plugins=True, **given)
    assert RunConfig.resolve(options, (), DiagnosisFact).registry == RunConfig.resolve(options).registry


def needs_of(check: Check) -> set[type[Fact]]:
    return {need.fact for need in check.needs if not issubclass(need.fact, Settings)}
