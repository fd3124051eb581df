from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.platform import namespaces
from dynocheck.facts.k8s.namespace_policy import Namespace, PodClasses
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

CLASSES = PodClasses(("system-cluster-critical", "urgent"), ("nvidia",))
BRINGS = "apiVersion: v1\nkind: Namespace\nmetadata: {name: models}\n"


def test_the_namespace_is_there(tmp_path: Path) -> None:
    assert list_messages(namespaces.namespace, Namespace("models"), None) == []
    (finding,) = run_check(namespaces.namespace, Namespace("models", exists=False), None)
    assert (str(finding.outcome), finding.fix) == ("warn", "kubectl create namespace models")
    for text, outcomes in [(BRINGS, []), (BRINGS.replace("models", "other"), ["warn"])]:
        given = recipes(tmp_path / str(len(outcomes)), namespace=text, deploy=GRAPH + FRONTEND)
        missing = Namespace("models", exists=False)
        assert [outcome for outcome, _ in list_messages(namespaces.namespace, missing, given)] == outcomes


def test_a_namespace_that_goes_takes_nothing() -> None:
    assert list_messages(namespaces.namespace, Namespace("models", deleting=True), None) == [
        ("fail", "is being deleted: nothing can be made in it")
    ]


def naming(folder: Path, **classes: str) -> tuple[str, ...]:
    """The messages about a graph whose worker names these classes."""
    lines = "".join(f"        {field}: {name}\n" for field, name in classes.items())
    text = GRAPH + worker().replace("      spec:\n", f"      spec:\n{lines}")
    judged = list_messages(namespaces.pod_classes, CLASSES, recipes(folder, deploy=text))
    assert {outcome for outcome, _ in judged} <= {"fail"}
    return tuple(message for _, message in judged)


def test_classes_that_pods_name_must_exist(tmp_path: Path) -> None:
    assert naming(tmp_path / "a", priorityClassName="urgent", runtimeClassName="nvidia") == ()
    assert naming(tmp_path / "b", priorityClassName="high", runtimeClassName="kata") == (
        "component w names PriorityClass high, which does not exist: its pods are refused",
        "component w names RuntimeClass kata, which does not exist: its pods are refused",
    )


def test_the_old_api_and_jobs_name_them_too(tmp_path: Path) -> None:
    graph = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec: {services: {Worker: {componentType: worker, extraPodSpec: {runtimeClassName: kata}}}}
"""
    job = """
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {priorityClassName: high, containers: [{name: c, image: i}]}}}
"""
    judged = list_messages(namespaces.pod_classes, CLASSES, recipes(tmp_path, deploy=graph, perf=job))
    assert [message.partition(",")[0] for _, message in judged] == [
        "component Worker names RuntimeClass kata",
        "Job j names PriorityClass high",
    ]


def test_a_class_that_the_recipe_brings_is_there(tmp_path: Path) -> None:
    brought = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 10\n"
    text = GRAPH + worker().replace("      spec:\n", "      spec:\n        priorityClassName: high\n")
    assert list_messages(namespaces.pod_classes, CLASSES, recipes(tmp_path, deploy=text, high=brought)) == []


@pytest.mark.parametrize("value", ["", "null", '""'])
def test_who_names_none_needs_none(tmp_path: Path, value: str) -> None:
    text = GRAPH + worker().replace("      spec:\n", f"      spec:\n        priorityClassName: {value}\n")
    assert get_skip_reason(namespaces.pod_classes, CLASSES, recipes(tmp_path, deploy=text))
