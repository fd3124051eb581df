from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dynocheck.checks.storage import provisioning
from dynocheck.data.volumes import find_csi_driver
from dynocheck.data.volumes import volume_reach as row
from dynocheck.facts import Condition, Node, Nodes, StorageClass, StorageClasses, Taint
from dynocheck.facts.k8s.storage import CsiDrivers, CsiNode, NodeDriver
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
from tests.checks.storage.test_classes import claim

ZONE = "topology.kubernetes.io/zone"
EBS = StorageClass("gp3", "ebs.csi.aws.com", is_default=True)
NFS = StorageClass("nfs", "nfs.csi.k8s.io", is_default=True)
NONE = CsiDrivers()


def node(name: str, zone: str = "", *, gpus: int = 8, ready: str = "True", cordoned: bool = False) -> Node:
    return Node(
        name,
        labels={ZONE: zone} if zone else {},
        allocatable={"nvidia.com/gpu": str(gpus)} if gpus else {},
        taints=(Taint("nvidia.com/gpu", "NoSchedule"),) if gpus else (),
        conditions=(Condition("Ready", ready),),
        unschedulable=cordoned,
    )


def one(found: StorageClass, **fields: object) -> StorageClasses:
    return StorageClasses((msgspec.structs.replace(found, **fields),))


SPREAD = Nodes((node("cpu", "a", gpus=0), node("gpu-1", "b"), node("gpu-2", "b")))


# binding-mode


def test_a_zone_without_gpus() -> None:
    (finding,) = run_check(provisioning.binding_mode, one(EBS), NONE, SPREAD, None)
    assert str(finding.outcome) == "warn"
    assert finding.message == "binds at once: a volume may be made in a, where no GPU node is"
    assert finding.evidence["zones with GPUs"] == ["b"]
    assert finding.fix is not None
    assert finding.fix.startswith("kubectl get storageclass gp3 -o yaml | sed ")


def test_gpus_in_every_zone() -> None:
    nodes = Nodes((node("gpu-1", "a"), node("gpu-2", "b")))
    ((_, message),) = list_messages(provisioning.binding_mode, one(EBS), NONE, nodes, None)
    assert message == "binds at once: it is left to chance to which of 2 zones a volume ties its pods"


@pytest.mark.parametrize(
    ("classes", "nodes"),
    [
        (one(EBS, binding_mode="WaitForFirstConsumer"), SPREAD),
        (one(NFS), SPREAD),  # shared file systems are reached from everywhere
        (one(EBS, zones=("b",)), SPREAD),  # allowedTopologies
        (one(EBS), Nodes((node("gpu-1", "b"), node("cpu", "b", gpus=0)))),
        (one(EBS), Nodes((node("gpu-1"), node("gpu-2")))),  # no zones at all
        (one(EBS), Nodes((node("cpu", "a", gpus=0), node("other", "b", gpus=0)))),
        (one(EBS), Nodes((node("gpu-1", "0"), node("gpu-2", "1")))),  # fault domains of AKS, not zones
        (one(EBS, provisioner="disk.csi.azure.com", parameters={"skuName": "Premium_ZRS"}), SPREAD),
        (
            one(EBS, provisioner="pd.csi.storage.gke.io", parameters={"replication-type": "regional-pd"}),
            SPREAD,
        ),
        (one(EBS, provisioner="cinder.csi.openstack.org"), SPREAD),  # its nodes tell of no zones
        (one(EBS, provisioner="rancher.io/local-path"), Nodes((node("gpu-1"),))),
        (one(EBS, provisioner="rancher.io/local-path"), Nodes((node("gpu-1"), node("x", cordoned=True)))),
        (one(EBS, provisioner="csi.unheard.example"), SPREAD),
    ],
)
def test_where_binding_at_once_does_no_harm(classes: StorageClasses, nodes: Nodes) -> None:
    assert list_messages(provisioning.binding_mode, classes, NONE, nodes, None) == []


@pytest.mark.parametrize(
    "classes",
    [
        one(EBS, zones=("a",)),
        one(EBS, provisioner="kubernetes.io/gce-pd"),
        one(EBS, provisioner="disk.csi.azure.com", parameters={"skuName": "Premium_LRS"}),
        one(EBS, provisioner="rancher.io/local-path"),
        one(EBS, provisioner="kubernetes.io/no-provisioner"),
    ],
)
def test_where_it_does(classes: StorageClasses) -> None:
    assert [o for o, _ in list_messages(provisioning.binding_mode, classes, NONE, SPREAD, None)] == ["warn"]


@pytest.mark.parametrize("driver", ["csi.unheard.example", "cinder.csi.openstack.org"])
def test_a_driver_that_tells_of_zones(driver: str) -> None:
    drivers = CsiDrivers(nodes=(CsiNode("gpu-1", (NodeDriver(driver, ("topology.example/zone",)),)),))
    unheard = one(EBS, provisioner=driver)
    assert [o for o, _ in list_messages(provisioning.binding_mode, unheard, drivers, SPREAD, None)] == [
        "warn"
    ]
    shared = CsiDrivers(
        nodes=(CsiNode("gpu-1", (NodeDriver("filestore.csi.storage.gke.io", ("gke/zone",)),)),)
    )
    filestore = one(EBS, provisioner="filestore.csi.storage.gke.io")
    assert list_messages(provisioning.binding_mode, filestore, shared, SPREAD, None) == []


def test_only_classes_that_are_relied_on(tmp_path: Path) -> None:
    classes = StorageClasses((EBS, msgspec.structs.replace(NFS, is_default=False)))
    assert (
        list_messages(
            provisioning.binding_mode, classes, NONE, SPREAD, recipes(tmp_path, c=claim(storage_class="nfs"))
        )
        == []
    )
    none = StorageClasses((msgspec.structs.replace(EBS, is_default=False),))
    assert (
        get_skip_reason(provisioning.binding_mode, none, NONE, SPREAD, None)
        == "no StorageClass is the default"
    )
    assert get_skip_reason(
        provisioning.binding_mode, classes, NONE, SPREAD, recipes(tmp_path / "b", c=claim(storage_class="x"))
    )


# csi-driver


def drivers(*names: str, **nodes: str) -> CsiDrivers:
    return CsiDrivers(
        names,
        tuple(
            CsiNode(name.replace("_", "-"), (NodeDriver(has),) if has else ()) for name, has in nodes.items()
        ),
    )


@pytest.mark.parametrize(
    ("provisioner", "there", "outcomes"),
    [
        ("nfs.csi.k8s.io", drivers("nfs.csi.k8s.io"), []),
        ("nfs.csi.k8s.io", drivers(cpu="nfs.csi.k8s.io"), []),  # a CSIDriver object is optional
        ("nfs.csi.k8s.io", drivers("ebs.csi.aws.com"), ["fail"]),
        ("nfs.csi.k8s.io", drivers(cpu=""), ["fail"]),
        ("rook-ceph.cephfs.csi.ceph.com", drivers("rook-ceph.cephfs.csi.ceph.com"), []),
        ("driver.longhorn.io", drivers(cpu=""), ["fail"]),
        ("unheard.example", drivers(cpu=""), ["warn"]),
        ("kubernetes.io/aws-ebs", drivers("ebs.csi.aws.com"), []),
        ("kubernetes.io/aws-ebs", drivers(cpu=""), ["fail"]),
    ],
)
def test_a_driver_is_there_or_not(provisioner: str, there: CsiDrivers, outcomes: list[str]) -> None:
    classes = one(NFS, provisioner=provisioner)
    assert [o for o, _ in list_messages(provisioning.csi_driver, classes, there, SPREAD, None)] == outcomes


@pytest.mark.parametrize(
    "provisioner",
    [
        "rancher.io/local-path",
        "cluster.local/nfs-subdir-external-provisioner",
        "k8s-sigs.io/nfs-subdir-external-provisioner",
        "openebs.io/local",
        "kubernetes.io/no-provisioner",
        "kubernetes.io/glusterfs",
    ],
)
def test_what_registers_nothing_is_not_judged(provisioner: str) -> None:
    classes = one(NFS, provisioner=provisioner)
    assert get_skip_reason(provisioning.csi_driver, classes, drivers(cpu=""), SPREAD, None)


def test_a_virtual_cluster_shows_no_drivers() -> None:
    assert "virtual cluster" in get_skip_reason(provisioning.csi_driver, one(NFS), NONE, SPREAD, None)


def test_a_driver_that_some_gpu_nodes_lack(tmp_path: Path) -> None:
    there = drivers("nfs.csi.k8s.io", cpu="", gpu_1="nfs.csi.k8s.io", gpu_2="")
    (finding,) = run_check(provisioning.csi_driver, one(NFS), there, SPREAD, None)
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("warn", "gpu-2")
    assert finding.evidence["taints"] == ["nvidia.com/gpu:NoSchedule"]
    relying = recipes(tmp_path, c=claim())
    assert [o for o, _ in list_messages(provisioning.csi_driver, one(NFS), there, SPREAD, relying)] == [
        "fail"
    ]


def test_nodes_that_are_not_in_use_are_left_alone() -> None:
    there = drivers("nfs.csi.k8s.io", new="", down="", cordoned="")
    nodes = Nodes((node("down", ready="False"), node("cordoned", cordoned=True), node("no-kubelet-yet")))
    assert list_messages(provisioning.csi_driver, one(NFS), there, nodes, None) == []


@pytest.mark.parametrize(
    ("provisioner", "driver"),
    [
        ("ebs.csi.aws.com", "ebs.csi.aws.com"),
        ("kubernetes.io/azure-file", "file.csi.azure.com"),
        ("example.com/nfs", None),
        ("nfs-subdir-external-provisioner", None),
    ],
)
def test_which_driver_stands_behind_a_provisioner(provisioner: str, driver: str | None) -> None:
    assert find_csi_driver(provisioner) == driver


def test_every_row_has_a_source() -> None:
    from dynocheck.data.volumes import _rows

    assert all(each.source.startswith("https://") for each in _rows().values())
    assert row("ebs.csi.aws.com") is not None
