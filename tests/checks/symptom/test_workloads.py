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


@pytest.mark.parametrize(
    ("target", "autoscalers", "found"),
    [
        ("Deployment w", (), ["warn"]),
        ("", (), []),
        ("Deployment w", ("ScaledObject",), []),
        ("Deployment w", ("HorizontalPodAutoscaler",), []),
    ],
    ids=["diagnosed", "of a namespace", "KEDA wakes it", "an autoscaler"],
)
def test_a_workload_that_is_scaled_to_0(target: str, autoscalers: tuple[str, ...], found: list[str]) -> None:
    made = DeployedObject(key=ObjectKey("Deployment", "w"), desired=0)
    scalers = (DeployedObject(key=ObjectKey(kind, "s"), owners=(made.key,)) for kind in autoscalers)
    assert outcomes(workload, make_state(objects=(made, *scalers), target=target)) == found


@pytest.mark.parametrize(("replicas", "found"), [(0, ["warn"]), (1, [])])
def test_a_graph_whose_workers_are_scaled_to_0(replicas: int, found: list[str]) -> None:
    made = DeployedObject(key=ObjectKey("DynamoGraphDeployment", "chat"), state="successful")
    front = DeployedObject(
        key=ObjectKey("Deployment", "front"), owners=(made.key,), desired=1, ready=1, component="frontend"
    )
    worker = DeployedObject(
        key=ObjectKey("Deployment", "w"),
        owners=(made.key,),
        desired=replicas,
        ready=replicas,
        component="worker",
    )
    assert outcomes(workload, make_state(objects=(made, front, worker))) == found
