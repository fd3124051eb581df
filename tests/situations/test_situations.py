"""`dynocheck preflight` in every situation."""

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from dynocheck.cli import main
from tests import outcomes, situations
from tests.controlplane.server import ControlPlane
from tests.fixes import find_faults
from tests.situations import Situation

MODULES = [
    importlib.import_module(f"tests.situations.{found.name}")
    for found in pkgutil.iter_modules(situations.__path__)
    if not found.name.startswith("test_")
]
SITUATIONS = [situation for module in MODULES for situation in module.SITUATIONS]


def sample() -> Iterator[ParameterSet]:
    """What CI runs: what turns no check, and the first that turns one so. The others are behind `verify`."""
    seen: set[tuple[str, str]] = set()
    for situation in SITUATIONS:
        new = situation.turned.items() - seen
        seen |= new
        told = situation.turned and not new
        yield pytest.param(situation, marks=[pytest.mark.verify] if told else [], id=str(situation))


def preflight(cluster: ControlPlane, folder: Path, recipe: str | None = None) -> list[dict[str, Any]]:
    """The verdicts of a run in this process, which spares the start of one."""
    report = folder / "report.json"
    extra = ["--recipe", recipe] if recipe else []
    main(["preflight", "--kubeconfig", str(cluster.kubeconfig()), "-o", f"json={report}", *extra])
    verdicts: list[dict[str, Any]] = json.loads(report.read_text())["verdicts"]
    return verdicts


def test_the_healthy_cluster(fit_cluster: ControlPlane, tmp_path: Path) -> None:
    verdicts = preflight(fit_cluster, tmp_path)
    found = {v["check"]: v["outcome"] for v in verdicts}
    assert set(found.values()) <= {"pass", "skip", "unjudged"}
    outcomes.compare("fit", found)


_BEFORE: dict[str, dict[str, str]] = {}


def judge_before(cluster: ControlPlane, folder: Path, recipe: str) -> dict[str, str]:
    """The outcomes with a recipe on the cluster that is fit, which are the same each time."""
    if recipe not in _BEFORE:
        _BEFORE[recipe] = {v["check"]: v["outcome"] for v in preflight(cluster, folder, recipe)}
    return _BEFORE[recipe]


@pytest.mark.parametrize("situation", [*sample()])
def test_the_right_checks_turn_and_no_other(
    fit_cluster: ControlPlane, tmp_path: Path, situation: Situation
) -> None:
    before = judge_before(fit_cluster, tmp_path, situation.recipe) if situation.recipe else {}
    situation.change(fit_cluster)
    verdicts = preflight(fit_cluster, tmp_path, situation.recipe)
    found = {v["check"]: v["outcome"] for v in verdicts}
    wanted = {**(before or outcomes.read("fit")), **situation.turned}
    assert found == wanted, [
        (v["check"], v["outcome"], v["message"]) for v in verdicts if v["outcome"] != wanted.get(v["check"])
    ]
    judged = [v for v in verdicts if v["check"] in situation.turned] or verdicts
    findings = [finding for v in judged for finding in v["findings"]]
    if situation.named:
        assert situation.named in [f["subject"]["name"] for f in findings if f["subject"]]
    if situation.says:
        told = [each["message"] for each in (*findings, *judged)]
        assert any(situation.says in message for message in told), told
    fixes = {f["fix"] for f in findings if f["fix"]}
    assert [said for fix in sorted(fixes) for said in find_faults(fix, fit_cluster)] == []
