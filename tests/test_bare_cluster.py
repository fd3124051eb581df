"""`dynocheck preflight` on a cluster that has nothing yet."""

from tests import outcomes
from tests.command import dynocheck
from tests.controlplane.server import ControlPlane


def test_a_bare_cluster_is_told_what_it_lacks(cluster: ControlPlane) -> None:
    ended = dynocheck("preflight", "--kubeconfig", cluster.kubeconfig(), "-o", "json")
    outcomes.compare("bare", ended.outcomes)
    assert ended.code == 1


def test_a_run_that_judges_nothing_is_no_pass(cluster: ControlPlane) -> None:
    ended = dynocheck("preflight", "--kubeconfig", cluster.kubeconfig(), "-o", "json", "--select", "gaie")
    assert set(ended.outcomes.values()) == {"skip"}
    assert ended.code == 3
