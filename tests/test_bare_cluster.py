"""`dynocheck preflight` on a cluster that has nothing yet."""

from __future__ import annotations

from tests.command import dynocheck
from tests.controlplane.server import ControlPlane

GAIE = {
    "gaie.class": "skip",
    "gaie.compatible": "skip",
    "gaie.controller": "skip",
    "gaie.crds": "skip",
    "gaie.epp": "skip",
    "gaie.gateway": "skip",
    "gaie.gateway-crds": "skip",
    "gaie.pool": "skip",
    "gaie.route": "skip",
}


def test_a_bare_cluster_is_told_what_it_lacks(cluster: ControlPlane) -> None:
    ended = dynocheck("preflight", "--kubeconfig", cluster.kubeconfig(), "-o", "json")
    assert ended.outcomes == {
        "access.api-reachable": "pass",
        "access.credentials": "pass",
        "access.kubernetes-version": "pass",
        "access.permissions": "pass",
        "driver.cuda-matrix": "skip",
        **GAIE,
        "gpu.allocatable": "skip",
        "gpu.dra": "skip",
        "gpu.homogeneous": "skip",
        "gpu.mig": "skip",
        "gpu.nodes-present": "fail",
        "gpu.nodes-ready": "skip",
        "gpu.operands": "skip",
        "gpu.operator": "fail",
        "gpu.sharing": "skip",
        "monitoring.dcgm-exporter": "skip",
        "monitoring.prometheus": "skip",
        "rdma.gpudirect": "skip",
        "rdma.operator": "skip",
        "rdma.resources": "skip",
        "storage.binding-mode": "skip",
        "storage.claims-bound": "skip",
        "storage.csi-driver": "skip",
        "platform.crd-migration": "skip",
        "platform.crds": "fail",
        "platform.dns": "warn",
        "platform.namespace": "pass",
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
    assert ended.outcomes == GAIE
    assert ended.code == 3
