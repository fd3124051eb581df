"""The commands on the pages of checks are such that a shell and kubectl take them."""

import pytest

from dynocheck.core.declarations import Check
from dynocheck.core.registry import load
from tests.controlplane.server import ControlPlane
from tests.fixes import commands, find_misreading


def fix_of(check: Check) -> str:
    """What the page of a check says to type, in one line."""
    _, found, text = check.documentation.partition("Fix: ")
    return " ".join(text.split()) if found else ""


TYPED = [check for check in load().checks if fix_of(check).startswith("kubectl ")]


@pytest.mark.parametrize("check", TYPED, ids=lambda check: check.id)
def test_what_a_page_says_to_type_can_be_typed(controlplane: ControlPlane, check: Check) -> None:
    typed = list(commands(fix_of(check)))
    assert [said for command in typed if (said := find_misreading(command, controlplane))] == []


def test_a_slip_is_found(controlplane: ControlPlane) -> None:
    for fix in ("kubectl get pods --al", "kubectl gte pods", "kubectl logs -A -l app=a"):
        assert [said for command in commands(fix) if (said := find_misreading(command, controlplane))], fix
    with pytest.raises(AssertionError):
        list(commands("kubectl get pods -l 'app=a"))
    quoted = 'kubectl patch x y -p \'{"spec": {"a b": 1}}\' && helm list; kubectl get pods | grep a'
    assert sorted(commands(quoted)) == [["get", "pods"], ["patch", "x", "y", "-p", '{"spec": {"a b": 1}}']]
