"""`dynocheck preflight` on a cluster that has nothing yet."""

from __future__ import annotations

from tests.command import dynocheck
from tests.controlplane.server import ControlPlane


def test_a_bare_cluster_is_told_what_it_lacks(cluster: ControlPlane) -> None:
    ended = dynocheck("preflight", "--kubeconfig", cluster.kubeconfig(), "-o", "json")
    assert ended.outcomes == {
        "access.api-reachable": "pass",
        "access.kubernetes-version": "pass",
        "access.permissions": "pass",
        "gaie.crds": "skip",
        "gpu.allocatable": "skip",
        "gpu.nodes-present": "fail",
        "gpu.operator": "fail",
        "platform.crd-migration": "skip",
        "platform.crds": "fail",
        "platform.dns": "warn",
        "platform.etcd-nats": "skip",
        "platform.network-policy": "skip",
        "platform.operator": "skip",
        "platform.second-operator": "skip",
        "platform.version-skew": "skip",
        "platform.webhook": "skip",
        "storage.default-class": "warn",
        "storage.rwx-class": "warn",
    }
    assert ended.code == 1


def test_a_run_that_judges_nothing_is_no_pass(cluster: ControlPlane) -> None:
    ended = dynocheck("preflight", "--kubeconfig", cluster.kubeconfig(), "-o", "json", "--select", "gaie")
    assert ended.outcomes == {"gaie.crds": "skip"}
    assert ended.code == 3
