"""Baselines and comments of whole trees: nothing old counts, everything new does, at any size."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.command import ROOT, CommandResult, run_inside
from tests.reports.schemas import valid_junit, valid_sarif
from tests.suppression.trees import CHECKS, SELECTED, Graph, Tree, change, grow

SIZES = [(7, 3), pytest.param((3400, 1100), marks=[pytest.mark.verify, pytest.mark.timeout(3600)])]


def run(folder: Path, *arguments: str) -> CommandResult:
    return run_inside("recipe", "r", "-o", "json", *SELECTED, "--timeout", "600", *arguments, cwd=folder)


def places(ended: CommandResult) -> set[tuple[str, str]]:
    """The check and the file of each finding that counts."""
    found = ((check, finding) for check in CHECKS for finding in ended.findings(check))
    return {(check, finding["location"]["file"]) for check, finding in found}


def count(ended: CommandResult) -> int:
    return sum(len(ended.findings(check)) for check in CHECKS)


def stale(ended: CommandResult) -> list[Any]:
    tables = [table for table in ended.report["tables"] if table["id"] == "baseline.gone"]
    return [row for table in tables for row in table["rows"]]


def record(tree: Tree, folder: Path) -> None:
    tree.write(folder / "r")
    assert count(run(folder)) == len(CHECKS) * len(tree.graphs)
    assert run(folder, "--write-baseline", "old.json").code == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", SIZES)
def test_only_what_is_new_counts(size: tuple[int, int], seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    tree = grow(*size)
    record(tree, tmp_path)
    change(tree, rng)
    tree.write(tmp_path / "r")
    ended = run(tmp_path, "--baseline", "old.json")
    assert (ended.code, count(ended), stale(ended)) == (0, 0, []), "each is as broken as it was"

    repaired = rng.choice([graph for graph in tree.graphs if graph.broken])
    repaired.broken = False
    tree.write(tmp_path / "r")
    ended = run(tmp_path, "--baseline", "old.json")
    assert (ended.code, count(ended), len(stale(ended))) == (0, 0, len(CHECKS))

    home = rng.choice(sorted(tree.recipes))
    tree.recipes[home].append(Graph("novel"))
    tree.write(tmp_path / "r")
    ended = run(tmp_path, "--baseline", "old.json")
    assert (ended.code, count(ended)) == (1, len(CHECKS))
    assert places(ended) == {(check, f"r/{home}/vllm/deploy.yaml") for check in CHECKS}
    assert all("novel" in f["message"] for check in CHECKS for f in ended.findings(check))


@pytest.mark.parametrize("size", SIZES)
def test_comments_in_every_file_silence_all(size: tuple[int, int], tmp_path: Path) -> None:
    tree = grow(*size)
    tree.header = f"# dynocheck: ignore-file[{', '.join(CHECKS)}] agreed\n"
    tree.write(tmp_path / "r")
    ended = run(tmp_path)
    assert (ended.code, count(ended)) == (0, 0)
    suppressed = [each for verdict in ended.report["verdicts"] for each in verdict["suppressed"]]
    assert len(suppressed) == len(CHECKS) * len(tree.graphs)


@pytest.mark.parametrize("size", SIZES)
def test_formats_for_programs_hold_every_finding(size: tuple[int, int], tmp_path: Path) -> None:
    tree = grow(*size)
    tree.write(tmp_path / "r")
    expected = len(CHECKS) * len(tree.graphs)
    ended = run(tmp_path, "-o", "sarif=a.sarif", "-o", "junit=a.xml", "-o", "markdown=a.md")
    assert count(ended) == expected
    (log,) = valid_sarif((tmp_path / "a.sarif").read_text())["runs"]
    assert len(log["results"]) == expected
    assert len({result["partialFingerprints"]["dynocheck/v1"] for result in log["results"]}) == expected
    root = valid_junit((tmp_path / "a.xml").read_text())
    assert sum(count_findings(failure) for failure in root.iter("failure")) == expected
    assert "r/m0/vllm/deploy.yaml" in (tmp_path / "a.md").read_text()


def count_findings(failure: etree._Element) -> int:
    return sum("deploy.yaml:" in line for line in (failure.text or "").splitlines())


@pytest.mark.parametrize("gpus", [True, False])
def test_new_nodes_make_no_old_finding_new(gpus: bool, tmp_path: Path) -> None:
    """More nodes that are sound, in another order: what was found of the cluster stays."""
    recording = json.loads((ROOT / "dynocheck" / "data" / "demo.json").read_text())
    nodes = recording["facts"]["Nodes"]["items"]
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110"}
    plain = {**nodes[0], "labels": {}, "capacity": amounts, "allocatable": amounts}
    nodes[:] = nodes if gpus else [{**plain, "name": "cpu-0"}]
    file = tmp_path / "now.json"
    file.write_text(json.dumps(recording))
    demo = ("preflight", "-o", "json", "--snapshot", "now.json")
    assert run_inside(*demo, cwd=tmp_path).code == 1
    assert run_inside(*demo, "--write-baseline", "old.json", cwd=tmp_path).code == 0
    nodes += [{**plain, "name": f"cpu-{number}"} for number in range(1, 6)]
    nodes += [{**nodes[0], "name": f"gpu-{number}"} for number in range(4, 7)] if gpus else []
    random.Random(1).shuffle(nodes)
    file.write_text(json.dumps(recording))
    ended = run_inside(*demo, "--baseline", "old.json", cwd=tmp_path)
    found = [f for v in ended.report["verdicts"] for f in v["findings"] if f["outcome"] in ("warn", "fail")]
    assert (ended.code, found) == (0, [])
