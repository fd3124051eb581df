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
        "driver.cuda-matrix": "skip",
        "gaie.crds": "skip",
        "gpu.allocatable": "skip",
        "gpu.dra": "skip",
        "gpu.homogeneous": "skip",
        "gpu.mig": "skip",
        "gpu.nodes-present": "fail",
        "gpu.nodes-ready": "skip",
        "gpu.operands": "skip",
        "gpu.operator": "fail",
        "platform.crds": "fail",
        "rdma.gpudirect": "skip",
        "rdma.operator": "skip",
        "rdma.resources": "skip",
        "storage.default-class": "warn",
        "storage.rwx-class": "warn",
    }
    assert ended.code == 1


def test_a_run_that_judges_nothing_is_no_pass(cluster: ControlPlane) -> None:
    ended = dynocheck("preflight", "--kubeconfig", cluster.kubeconfig(), "-o", "json", "--select", "gaie")
    assert ended.outcomes == {"gaie.crds": "skip"}
    assert ended.code == 3
