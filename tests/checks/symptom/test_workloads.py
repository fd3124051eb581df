"""Workloads and graphs by their status."""

import pytest

from dynocheck.checks.symptom.workloads import graph, workload
from dynocheck.facts import Condition, DeployedObject, ObjectKey
from tests.checks.judging import outcomes
from tests.checks.symptom.states import make_state

READY = Condition("Ready", "True")
PENDING = Condition("Ready", "False", "pods_not_ready", "worker: 0/1")


@pytest.mark.parametrize(
    ("status", "found"),
    [
        ({"state": "successful", "conditions": (READY,)}, []),
        ({"state": "pending", "conditions": (PENDING,)}, ["fail"]),
        ({"state": "successful", "conditions": (PENDING,)}, ["fail"]),
        ({"state": "successful", "conditions": (READY,), "observed": False}, ["fail"]),
        ({}, ["fail"]),
        ({"terminating": True}, ["warn"]),
    ],
    ids=["ready", "pending", "no longer ready", "changed since", "never seen", "being deleted"],
)
def test_a_graph(status: dict[str, object], found: list[str]) -> None:
    made = DeployedObject(key=ObjectKey("DynamoGraphDeployment", "chat"), **status)  # type: ignore[arg-type]
    assert outcomes(graph, make_state(objects=(made,))) == found


def test_no_graph() -> None:
    assert outcomes(graph, make_state()) == ["skip"]


@pytest.mark.parametrize(
    ("kind", "status", "found"),
    [
        ("Deployment", {"desired": 2, "ready": 1}, ["fail"]),
        ("Deployment", {"desired": 2, "ready": 2}, []),
        ("Deployment", {"desired": 0}, []),
        ("Deployment", {"desired": 2, "terminating": True}, []),
        ("Job", {"desired": 1}, []),
        (
            "Job",
            {"desired": 1, "conditions": (Condition("Failed", "True", "BackoffLimitExceeded"),)},
            ["fail"],
        ),
        ("ReplicaSet", {"desired": 1}, []),
    ],
)
def test_a_workload(kind: str, status: dict[str, object], found: list[str]) -> None:
    made = DeployedObject(key=ObjectKey(kind, "w"), **status)  # type: ignore[arg-type]
    assert outcomes(workload, make_state(objects=(made,))) == found
