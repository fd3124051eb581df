"""The operator of Dynamo, as a graph needs it."""

import pytest

from dynocheck.checks.symptom.running import operator
from dynocheck.facts import (
    ContainerLog,
    DeployedObject,
    NamespaceState,
    ObjectKey,
    OperatorState,
    Termination,
)
from tests.checks.judging import judge, places
from tests.checks.symptom.states import NOW, TEN_MINUTES_AGO, YESTERDAY, make_container, make_pod, make_state

GRAPH = DeployedObject(key=ObjectKey("DynamoGraphDeployment", "chat"), state="successful")


def make_operator(finished: str, reason: str = "Error", **fields: object) -> OperatorState:
    """Its one pod, which was started again."""
    end = Termination(exit_code=137 if reason == "OOMKilled" else 1, reason=reason, finished=finished)
    container = make_container(name="manager", previous=end, restarts=1, **fields)
    pod = make_pod(container, name="operator-0")
    log = ContainerLog(pod="operator-0", container="manager", previous=True, lines=("leader election lost",))
    place = NamespaceState(namespace="dynamo-system", taken=NOW, pods=(pod,))
    return OperatorState(namespaces=(place,), logs=(log,))


@pytest.mark.parametrize(
    ("operators", "found"),
    [
        (make_operator(TEN_MINUTES_AGO), [("warn", "Pod dynamo-system/operator-0")]),
        (
            make_operator(TEN_MINUTES_AGO, "OOMKilled", memory_limit="128Mi"),
            [("warn", "Pod dynamo-system/operator-0")],
        ),
        (make_operator(TEN_MINUTES_AGO, ready=False), [("fail", "Pod dynamo-system/operator-0")]),
        (make_operator(YESTERDAY), []),
        (OperatorState(), []),
    ],
    ids=["lost its lease", "out of memory", "not ready again", "long ago", "none"],
)
def test_an_operator(operators: OperatorState, found: list[tuple[str, str]]) -> None:
    assert places(operator, make_state(objects=(GRAPH,)), operators) == found


def test_an_operator_that_cannot_be_read() -> None:
    state = make_state(objects=(GRAPH,))
    assert judge(operator, state, OperatorState(problem="forbidden")) == ["unjudged"]
    assert judge(operator, state, None) == ["unjudged"]  # a recording of an earlier release
    assert judge(operator, make_state(), OperatorState(problem="forbidden")) == ["skip"]
