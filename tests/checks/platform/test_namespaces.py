from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.platform import namespaces
from dynocheck.facts import Namespace, PodClasses
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, outcomes, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph, job

CLASSES = PodClasses(("system-cluster-critical", "urgent"), ("nvidia",))
BRINGS = "apiVersion: v1\nkind: Namespace\nmetadata: {name: models}\n"


def test_the_namespace_exists(tmp_path: Path) -> None:
    assert outcomes(namespaces.namespace, Namespace("models"), None) == []
    (finding,) = run_check(namespaces.namespace, Namespace("models", exists=False), None)
    assert (str(finding.outcome), finding.fix) == ("warn", "kubectl create namespace models")
    for text, expected in [(BRINGS, []), (BRINGS.replace("models", "other"), ["warn"])]:
        given = recipes(tmp_path / str(len(expected)), namespace=text, deploy=GRAPH + FRONTEND)
        missing = Namespace("models", exists=False)
        assert outcomes(namespaces.namespace, missing, given) == expected


def test_a_namespace_that_is_being_deleted() -> None:
    assert outcomes(namespaces.namespace, Namespace("models", deleting=True), None) == ["fail"]


@pytest.mark.parametrize(
    ("classes", "fails"),
    [
        ({"priorityClassName": "urgent", "runtimeClassName": "nvidia"}, 0),
        ({"priorityClassName": "high", "runtimeClassName": "nvidia"}, 1),
        ({"priorityClassName": "high", "runtimeClassName": "kata"}, 2),
    ],
)
def test_classes_that_pods_name_must_exist(tmp_path: Path, classes: dict[str, str], fails: int) -> None:
    recipe = recipes(tmp_path, deploy=dump_objects(graph(engine(pod=classes))))
    assert outcomes(namespaces.pod_classes, CLASSES, recipe) == ["fail"] * fails


def test_classes_in_v1alpha1_and_in_jobs(tmp_path: Path) -> None:
    pod = {"componentType": "worker", "extraPodSpec": {"runtimeClassName": "kata"}}
    old = {**graph(), "apiVersion": "nvidia.com/v1alpha1", "spec": {"services": {"Worker": pod}}}
    perf = job("true", pod={"priorityClassName": "high"})
    recipe = recipes(tmp_path, deploy=dump_objects(old), perf=dump_objects(perf))
    deployed, benchmark = run_check(namespaces.pod_classes, CLASSES, recipe)
    assert (deployed.outcome, deployed.evidence) == ("fail", {"there are": ["nvidia"]})
    assert (benchmark.outcome, benchmark.evidence) == ("fail", {"there are": list(CLASSES.priorities)})


def test_a_class_of_the_recipe(tmp_path: Path) -> None:
    own = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 10\n"
    text = dump_objects(graph(engine(pod={"priorityClassName": "high"})))
    assert outcomes(namespaces.pod_classes, CLASSES, recipes(tmp_path, deploy=text, high=own)) == []


@pytest.mark.parametrize("value", [None, ""])
def test_pods_without_classes(tmp_path: Path, value: str | None) -> None:
    recipe = recipes(tmp_path, deploy=dump_objects(graph(engine(pod={"priorityClassName": value}))))
    assert get_skip_reason(namespaces.pod_classes, CLASSES, recipe)
