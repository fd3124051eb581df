"""What probes see of RDMA on a real API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynocheck.facts import AppliedState, DriverSettings, NicPolicies
from tests.clusters import gpu, rdma
from tests.clusters.objects import make_object
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.probes.looking import look
from tests.probes.test_probes import make_slice

SRIOV = """{"resourceList": [
  {"resourceName": "vfs", "selectors": {"vendors": ["15b3"], "isRdma": true}},
  {"resourcePrefix": "corp.example", "resourceName": "more", "selectors": [{"isRdma": true}]},
  {"resourceName": "dpdk", "selectors": {"drivers": ["vfio-pci"]}}]}"""


@pytest.fixture(scope="module")
def defined(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    """The types of both operators, for the tests of this module."""
    yield from controlplane.share(*(crds / folder for folder in (*rdma.CRDS, *gpu.CRDS)))


def test_without_the_operators(cluster: ControlPlane) -> None:
    assert look("nic_policies", cluster) == NicPolicies(served=False)


def test_a_nic_policy_in_full(defined: None, cluster: ControlPlane) -> None:
    policy = rdma.nic_policy(state="notReady", OFED=("error", "no such image"))
    policy["spec"]["sriovDevicePlugin"] = {**policy["spec"]["rdmaSharedDevicePlugin"], "config": SRIOV}
    cluster.apply(policy)
    states = (
        AppliedState("state-OFED", "error", "no such image"),
        AppliedState("state-RDMA-device-plugin", "ready"),
        AppliedState("state-SRIOV-device-plugin", "ignore"),
    )
    (seen,) = look("nic_policies", cluster)
    assert (seen.kind, seen.name, seen.state) == ("NicClusterPolicy", "nic-cluster-policy", "notReady")
    assert seen.states == states
    assert seen.components == ("rdmaSharedDevicePlugin", "sriovDevicePlugin")
    assert seen.resources == ("rdma/ib", "nvidia.com/vfs", "corp.example/more")


def test_a_nic_policy_that_is_new_or_garbled(defined: None, cluster: ControlPlane) -> None:
    policy = rdma.nic_policy()
    del policy["status"]
    policy["spec"]["rdmaSharedDevicePlugin"]["config"] = "{{ .Values.config }}"
    cluster.apply(policy)
    (seen,) = look("nic_policies", cluster)
    assert (seen.state, seen.states, seen.resources) == ("", (), ())


def test_what_the_gpu_operator_says_of_drivers(defined: None, cluster: ControlPlane) -> None:
    cluster.apply(gpu.cluster_policy(enabled=False, useNvidiaDriverCRD=True))
    spec = {"default": True, "driverType": "gpu", "image": "driver", "kernelModuleType": "open"}
    spec |= {"rdma": {"enabled": True}}
    cluster.apply(
        make_object("nvidia.com/v1alpha1 NVIDIADriver", "demo", spec=spec, status={"state": "ready"})
    )
    policy, seen = look("gpu_operator_resources", cluster)
    assert policy.driver == DriverSettings(installs=False, elsewhere=True)
    assert seen.driver == DriverSettings(peermem=True, modules="open")


def test_rdma_devices_of_dranet(cluster: ControlPlane) -> None:
    devices: list[Object] = [
        {"name": "gpu0rdma0", "attributes": {"dra.net/rdma": {"bool": True}}},
        {"name": "short", "attributes": {"rdma": {"bool": True}, "ifName": {"string": "eth1"}}},
        {"name": "eth0", "attributes": {"dra.net/rdma": {"bool": False}}},
        {"name": "plain"},
    ]
    cluster.apply(make_slice("nics", devices, nodeName="a", driver="dra.net"))
    (seen,) = look("resource_slices", cluster)
    assert (seen.devices, seen.rdma) == (4, 2)
