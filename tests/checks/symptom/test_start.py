"""Pods that are not gone when they should be."""

import pytest

from dynocheck.checks.symptom.start import ended
from tests.checks.judging import run_check
from tests.checks.symptom.states import NOW, TEN_MINUTES_AGO, make_container, make_pod, make_state


@pytest.mark.parametrize(
    ("deleted", "finalizers", "says"),
    [
        (TEN_MINUTES_AGO, ("example.com/wait",), "the finalizer example.com/wait holds it"),
        (TEN_MINUTES_AGO, (), "10 min"),
        (NOW, (), ""),
        ("", (), ""),
    ],
    ids=["held", "on a node that is gone", "just deleted", "not deleted"],
)
def test_a_pod_that_is_deleted(deleted: str, finalizers: tuple[str, ...], says: str) -> None:
    pod = make_pod(make_container(), deleted=deleted, terminating=bool(deleted), finalizers=finalizers)
    found = run_check(ended, make_state(pod))
    assert [says in finding.message for finding in found] == ([True] if says else [])
