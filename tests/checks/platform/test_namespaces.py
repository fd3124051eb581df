from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.platform import namespaces
from dynocheck.facts import Namespace, PodClasses, RuntimeRule
from tests.checks.judging import deploy, judge, outcomes, run_check
from tests.checks.manifests import engine, graph, job

CLASSES = PodClasses(("system-cluster-critical", "urgent"), ("nvidia",), {"nvidia": RuntimeRule()})
OWN = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "high"},
    "value": 10,
}


def test_the_namespace_exists(tmp_path: Path) -> None:
    missing = Namespace("models", exists=False)
    assert outcomes(namespaces.namespace, Namespace("models"), None) == []
    assert outcomes(namespaces.namespace, Namespace("models", deleting=True), None) == ["fail"]
    (finding,) = run_check(namespaces.namespace, missing, None)
    assert (finding.outcome, finding.fix) == ("warn", "kubectl create namespace models")
    for name, expected in [("models", []), ("other", ["warn"])]:
        brought = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        assert outcomes(namespaces.namespace, missing, deploy(tmp_path / name, brought, graph())) == expected


@pytest.mark.parametrize(
    ("classes", "more", "expected"),
    [
        ({"priorityClassName": "urgent", "runtimeClassName": "nvidia"}, [], []),
        ({"priorityClassName": "high", "runtimeClassName": "nvidia"}, [], ["fail"]),
        ({"priorityClassName": "high", "runtimeClassName": "kata"}, [], ["fail", "fail"]),
        ({"priorityClassName": "high"}, [OWN], []),
        ({"priorityClassName": None}, [], ["skip"]),
        ({"priorityClassName": ""}, [], ["skip"]),
    ],
)
def test_classes_that_pods_name_must_exist(
    tmp_path: Path, classes: dict[str, Any], more: list[dict[str, Any]], expected: list[str]
) -> None:
    recipe = deploy(tmp_path, graph(engine(pod=classes)), *more)
    assert outcomes(namespaces.pod_classes, CLASSES, recipe) == expected


@pytest.mark.parametrize(("pool", "expected"), [("gpus", []), ("cpus", ["fail"])])
def test_a_runtime_class_that_selects_nodes(tmp_path: Path, pool: str, expected: list[str]) -> None:
    pod = {"runtimeClassName": "kata", "nodeSelector": {"pool": pool, "zone": "a"}}
    classes = PodClasses(runtimes=("kata",), rules={"kata": RuntimeRule(node_selector={"pool": "gpus"})})
    assert outcomes(namespaces.pod_classes, classes, deploy(tmp_path, graph(engine(pod=pod)))) == expected


@pytest.mark.parametrize(("more", "expected"), [({}, []), ({"nodeSelector": {"a": "b"}}, ["unjudged"])])
def test_a_recording_that_does_not_say_what_a_class_adds(
    tmp_path: Path, more: dict[str, Any], expected: list[str]
) -> None:
    recipe = deploy(tmp_path, graph(engine(pod={"runtimeClassName": "nvidia", **more})))
    assert judge(namespaces.pod_classes, PodClasses(runtimes=("nvidia",)), recipe) == expected


def test_classes_in_v1alpha1_and_in_jobs(tmp_path: Path) -> None:
    pod = {"componentType": "worker", "extraPodSpec": {"runtimeClassName": "kata"}}
    old = {**graph(), "apiVersion": "nvidia.com/v1alpha1", "spec": {"services": {"Worker": pod}}}
    recipe = deploy(tmp_path, old, job("true", pod={"priorityClassName": "high"}))
    found = [(f.outcome, f.evidence) for f in run_check(namespaces.pod_classes, CLASSES, recipe)]
    named = [{"there are": ["nvidia"]}, {"there are": list(CLASSES.priorities)}]
    assert found == [("fail", evidence) for evidence in named]
