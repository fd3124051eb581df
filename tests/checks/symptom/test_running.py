"""Containers that end, and containers that are not ready."""

import pytest

from dynocheck.checks.symptom.running import crash, log, not_ready
from dynocheck.facts import (
    Condition,
    ContainerLog,
    ContainerLogs,
    DeployedObject,
    ObjectEvent,
    ObjectKey,
    Termination,
)
from tests.checks.judging import outcomes, run_check
from tests.checks.symptom.states import NOW, TEN_MINUTES_AGO, YESTERDAY, make_container, make_pod, make_state

NO_LOGS = ContainerLogs()


@pytest.mark.parametrize(
    ("finished", "found"), [(TEN_MINUTES_AGO, ["warn"]), (YESTERDAY, [])], ids=["lately", "yesterday"]
)
def test_a_crash_that_is_over(finished: str, found: list[str]) -> None:
    previous = Termination(exit_code=1, reason="Error", finished=finished)
    state = make_state(make_pod(make_container(previous=previous, restarts=2)))
    assert outcomes(crash, state, NO_LOGS) == found


def test_an_end_as_wanted_is_no_crash() -> None:
    ended = make_container(ready=False, running_since="", ended=Termination(reason="Completed"))
    assert outcomes(crash, make_state(make_pod(ended, phase="Succeeded")), NO_LOGS) == []


@pytest.mark.parametrize(
    ("condition", "found"),
    [("Complete", []), ("Failed", ["fail"]), ("Suspended", ["warn"])],
    ids=["others succeeded", "it has failed", "it tries again"],
)
def test_a_pod_of_a_job(condition: str, found: list[str]) -> None:
    """A try that failed is no failure while the Job goes on, and none when it is over."""
    job = ObjectKey("Job", "download")
    ended = make_container(ready=False, running_since="", ended=Termination(exit_code=1))
    made = DeployedObject(key=job, desired=1, conditions=(Condition(condition, "True"),))
    state = make_state(make_pod(ended, phase="Failed", owners=(job,)), objects=(made,))
    assert outcomes(crash, state, NO_LOGS) == found


def test_a_program_that_could_not_be_started_needs_no_log() -> None:
    message = 'runc create failed: exec: "vlm": executable file not found in $PATH'
    previous = Termination(exit_code=128, reason="StartError", message=message, finished=NOW)
    broken = make_container(ready=False, waiting="CrashLoopBackOff", previous=previous)
    logs = ContainerLogs((ContainerLog(pod="w-1", container="main", previous=True, problem="none"),))
    (finding,) = run_check(crash, make_state(make_pod(broken)), logs)
    assert "no program vlm" in finding.message


def test_replicas_whose_log_was_not_read_follow_from_one_that_was() -> None:
    owner = ObjectKey("ReplicaSet", "w")
    previous = Termination(exit_code=1, reason="Error", finished=TEN_MINUTES_AGO)
    broken = make_container(ready=False, waiting="CrashLoopBackOff", previous=previous)
    pods = [make_pod(broken, name=name, owners=(owner,)) for name in ("w-1", "w-2")]
    logs = ContainerLogs(
        (ContainerLog(pod="w-1", container="main", previous=True, lines=("KeyError: 'x'",)),)
    )
    read, unread = run_check(crash, make_state(*pods), logs)
    explains = crash.explained_by["symptom.crash"]
    assert (explains(read, unread), explains(unread, read), explains(read, read)) == (True, False, False)


def test_an_evicted_pod_has_not_crashed() -> None:
    ended = make_container(ready=False, running_since="", ended=Termination(exit_code=137))
    assert outcomes(crash, make_state(make_pod(ended, phase="Failed", reason="Evicted")), NO_LOGS) == []


@pytest.mark.parametrize(
    ("container", "found"),
    [
        ({"started": False, "startup_s": 3600}, ["warn"]),
        ({"started": False, "startup_s": 60}, ["fail"]),
        ({}, ["fail"]),
        ({"running_since": NOW}, ["warn"]),
        ({"ready": True}, []),
        ({"init": True}, []),
        ({"running_since": ""}, []),
    ],
    ids=["starting", "started too long", "not ready", "new", "ready", "init", "waiting"],
)
def test_a_container_that_is_not_ready(container: dict[str, object], found: list[str]) -> None:
    state = make_state(make_pod(make_container(**{"ready": False, **container})))
    assert outcomes(not_ready, state, NO_LOGS) == found


def test_a_probe_that_once_failed_does_not_explain_a_crash_of_its_own() -> None:
    """A container that ends by itself was not killed, whatever its probes said before."""
    previous = Termination(exit_code=1, reason="Error", finished=TEN_MINUTES_AGO)
    broken = make_container(ready=False, waiting="CrashLoopBackOff", previous=previous, probes=("liveness",))
    event = ObjectEvent(
        about=ObjectKey("Pod", "w-1"), reason="Unhealthy", message="Liveness probe failed: 503"
    )
    (finding,) = run_check(crash, make_state(make_pod(broken), events=(event,)), NO_LOGS)
    assert "probe" not in finding.message


def test_a_log_that_cannot_be_read_is_told() -> None:
    previous = Termination(exit_code=1, reason="Error", finished=TEN_MINUTES_AGO)
    broken = make_container(ready=False, waiting="CrashLoopBackOff", previous=previous)
    logs = ContainerLogs((ContainerLog(pod="w-1", container="main", previous=True, problem="forbidden"),))
    (finding,) = run_check(crash, make_state(make_pod(broken)), logs)
    assert "forbidden" in finding.message


def test_a_program_that_ends_without_an_error_and_should_run_on() -> None:
    previous = Termination(reason="Completed", finished=TEN_MINUTES_AGO)
    broken = make_container(ready=False, running_since="", waiting="CrashLoopBackOff", previous=previous)
    assert outcomes(crash, make_state(make_pod(broken)), NO_LOGS) == ["fail"]
    event = ObjectEvent(
        about=ObjectKey("Pod", "w-1"), reason="Killing", message="Container main failed liveness probe"
    )
    (finding,) = run_check(crash, make_state(make_pod(broken), events=(event,)), NO_LOGS)
    assert "liveness probe" in finding.message


def test_a_warning_of_an_engine_that_starts_is_not_its_end() -> None:
    lines = ("WARNING 11-29 [nixl_utils.py:34] NIXL is not available", "INFO loading weights")
    logs = ContainerLogs((ContainerLog(pod="w-1", container="main", lines=lines),))
    starting = make_container(ready=False, started=False, startup_s=3600)
    assert outcomes(not_ready, make_state(make_pod(starting)), logs) == ["warn"]


def test_a_degraded_engine() -> None:
    lines = ("WARN 4 IB device(s) were detected, but accelerated IB support was not found",)
    logs = ContainerLogs((ContainerLog(pod="w-1", container="main", lines=lines),))
    assert outcomes(log, make_state(make_pod(make_container(ready=False))), logs) == ["warn"]
