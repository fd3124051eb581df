"""Pods without a node, and claims that are not bound."""

import pytest

from dynocheck.checks.symptom.scheduling import claim, unscheduled
from dynocheck.facts import DeployedObject, ObjectEvent, ObjectKey
from tests.checks.judging import outcomes
from tests.checks.symptom.states import NOW, TEN_MINUTES_AGO, make_pod, make_state

CLAIM = ObjectKey("PersistentVolumeClaim", "cache")


@pytest.mark.parametrize(
    ("created", "found"), [(TEN_MINUTES_AGO, ["fail"]), (NOW, []), ("", [])], ids=["old", "new", "of no age"]
)
def test_a_pod_that_no_scheduler_has_looked_at(created: str, found: list[str]) -> None:
    state = make_state(make_pod(node="", phase="Pending", created=created, scheduler="kai-scheduler"))
    assert outcomes(unscheduled, state) == found


@pytest.mark.parametrize(
    "fields", [{"phase": "Failed"}, {"terminating": True}], ids=["ended", "being deleted"]
)
def test_a_pod_that_wants_no_node(fields: dict[str, object]) -> None:
    assert outcomes(unscheduled, make_state(make_pod(**{"node": "", **fields}))) == []


@pytest.mark.parametrize(
    ("created", "reason", "found"),
    [
        (TEN_MINUTES_AGO, "ExternalProvisioning", ["fail"]),
        (NOW, "ExternalProvisioning", []),
        (TEN_MINUTES_AGO, "WaitForFirstConsumer", []),
        (TEN_MINUTES_AGO, "ProvisioningFailed", ["fail"]),
    ],
)
def test_a_pending_claim(created: str, reason: str, found: list[str]) -> None:
    """One that waits for its first pod is as it should be, and one that is new may be bound soon."""
    pending = DeployedObject(key=CLAIM, state="Pending", created=created)
    event = ObjectEvent(about=CLAIM, reason=reason, message="waiting", last=NOW)
    assert outcomes(claim, make_state(objects=(pending,), events=(event,))) == found


def test_claims_that_could_not_be_read_are_not_missing() -> None:
    pod = make_pod(claims=("cache",))
    assert outcomes(claim, make_state(pod)) == ["fail"]
    assert outcomes(claim, make_state(pod, unread={"persistentvolumeclaims": "forbidden"})) == []
