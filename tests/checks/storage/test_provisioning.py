from pathlib import Path

import msgspec
import pytest

from dynocheck.checks.storage import provisioning
from dynocheck.data.volumes import _rows, find_csi_driver
from dynocheck.facts import (
    Condition,
    CsiDrivers,
    CsiNode,
    Node,
    NodeDriver,
    Nodes,
    PersistentVolumeClaim,
    PersistentVolumeClaims,
    StorageClass,
    StorageClasses,
    Taint,
)
from tests.checks.judging import outcomes, places, recipes, run_check
from tests.checks.storage.manifests import claim, mounting

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


def one(storage_class: StorageClass, **fields: object) -> StorageClasses:
    return StorageClasses((msgspec.structs.replace(storage_class, **fields),))


SPREAD = Nodes((node("cpu", "a", gpus=0), node("gpu-1", "b"), node("gpu-2", "b")))


# binding-mode


@pytest.mark.parametrize(
    ("nodes", "evidence"),
    [
        (SPREAD, {"zones with GPUs": ["b"]}),
        (Nodes((node("gpu-1", "a"), node("gpu-2", "b"))), {"zones": ["a", "b"]}),
    ],
)
def test_disks_in_zones_without_the_gpus_that_wait(nodes: Nodes, evidence: dict[str, list[str]]) -> None:
    (finding,) = run_check(provisioning.binding_mode, one(EBS), NONE, nodes, None)
    assert finding.outcome == "warn"
    assert finding.evidence.items() >= evidence.items()
    assert (finding.fix or "").startswith("kubectl get storageclass gp3 -o yaml | sed ")


LOCAL_PATH = one(EBS, provisioner="rancher.io/local-path")
AZURE, GKE = "disk.csi.azure.com", "pd.csi.storage.gke.io"


@pytest.mark.parametrize(
    ("classes", "nodes", "expected"),
    [
        (one(EBS, binding_mode="WaitForFirstConsumer"), SPREAD, []),
        (one(NFS), SPREAD, []),  # shared file systems are reached from everywhere
        (one(EBS, zones=("b",)), SPREAD, []),  # allowedTopologies
        (one(EBS), Nodes((node("gpu-1", "b"), node("cpu", "b", gpus=0))), []),
        (one(EBS), Nodes((node("gpu-1"), node("gpu-2"))), []),  # no zones at all
        (one(EBS), Nodes((node("cpu", "a", gpus=0), node("other", "b", gpus=0))), []),
        (one(EBS), Nodes((node("gpu-1", "0"), node("gpu-2", "1"))), []),  # fault domains of AKS, not zones
        (one(EBS, provisioner=AZURE, parameters={"skuName": "Premium_ZRS"}), SPREAD, []),
        (one(EBS, provisioner=GKE, parameters={"replication-type": "regional-pd"}), SPREAD, []),
        (one(EBS, provisioner="cinder.csi.openstack.org"), SPREAD, []),  # its nodes have no topology keys
        (LOCAL_PATH, Nodes((node("gpu-1"),)), []),
        (LOCAL_PATH, Nodes((node("gpu-1"), node("x", cordoned=True))), []),
        (one(EBS, provisioner="csi.unheard.example"), SPREAD, []),
        # and where it is harmful
        (one(EBS, zones=("a",)), SPREAD, ["warn"]),
        (one(EBS, provisioner="kubernetes.io/gce-pd"), SPREAD, ["warn"]),
        (one(EBS, provisioner=AZURE, parameters={"skuName": "Premium_LRS"}), SPREAD, ["warn"]),
        (LOCAL_PATH, SPREAD, ["warn"]),
        (one(EBS, provisioner="kubernetes.io/no-provisioner"), SPREAD, ["warn"]),
    ],
)
def test_immediate_binding(classes: StorageClasses, nodes: Nodes, expected: list[str]) -> None:
    assert outcomes(provisioning.binding_mode, classes, NONE, nodes, None) == expected


@pytest.mark.parametrize(
    ("driver", "key", "expected"),
    [
        ("csi.unheard.example", "topology.example/zone", ["warn"]),
        ("cinder.csi.openstack.org", "topology.example/zone", ["warn"]),
        ("filestore.csi.storage.gke.io", "gke/zone", []),  # a shared file system
    ],
)
def test_driver_with_a_topology_key_of_zones(driver: str, key: str, expected: list[str]) -> None:
    registered = CsiDrivers(nodes=(CsiNode("gpu-1", (NodeDriver(driver, (key,)),)),))
    classes = one(EBS, provisioner=driver)
    assert outcomes(provisioning.binding_mode, classes, registered, SPREAD, None) == expected


def test_only_classes_in_use_are_checked(tmp_path: Path) -> None:
    classes = StorageClasses((EBS, msgspec.structs.replace(NFS, is_default=False)))
    using = recipes(tmp_path, c=claim(storageClassName="nfs"))
    assert outcomes(provisioning.binding_mode, classes, NONE, SPREAD, using) == []
    no_default = one(EBS, is_default=False)
    assert outcomes(provisioning.binding_mode, no_default, NONE, SPREAD, None) == ["skip"]
    missing = recipes(tmp_path / "b", c=claim(storageClassName="x"))
    assert outcomes(provisioning.binding_mode, classes, NONE, SPREAD, missing) == ["skip"]


# csi-driver


def drivers(*names: str, **nodes: str) -> CsiDrivers:
    """These CSIDriver objects, and nodes with the driver that each has, if any."""
    has = {name.replace("_", "-"): (NodeDriver(driver),) if driver else () for name, driver in nodes.items()}
    return CsiDrivers(names, tuple(CsiNode(name, registered) for name, registered in has.items()))


@pytest.mark.parametrize(
    ("provisioner", "registered", "expected"),
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
        ("nfs.csi.k8s.io", NONE, ["skip"]),  # a virtual cluster has no drivers
        # External provisioners are not checked.
        ("rancher.io/local-path", drivers(cpu=""), ["skip"]),
        ("cluster.local/nfs-subdir-external-provisioner", drivers(cpu=""), ["skip"]),
        ("k8s-sigs.io/nfs-subdir-external-provisioner", drivers(cpu=""), ["skip"]),
        ("openebs.io/local", drivers(cpu=""), ["skip"]),
        ("kubernetes.io/no-provisioner", drivers(cpu=""), ["skip"]),
        ("kubernetes.io/glusterfs", drivers(cpu=""), ["skip"]),
    ],
)
def test_driver_is_installed(provisioner: str, registered: CsiDrivers, expected: list[str]) -> None:
    classes = one(NFS, provisioner=provisioner)
    assert outcomes(provisioning.csi_driver, classes, registered, SPREAD, None, None) == expected


def test_gpu_node_without_the_driver(tmp_path: Path) -> None:
    facts = one(NFS), drivers("nfs.csi.k8s.io", cpu="", gpu_1="nfs.csi.k8s.io", gpu_2=""), SPREAD
    (finding,) = run_check(provisioning.csi_driver, *facts, None, None)
    assert finding.evidence["taints"] == ["nvidia.com/gpu:NoSchedule"]
    assert places(provisioning.csi_driver, *facts, None, None) == [("warn", "Node gpu-2")]
    using = recipes(tmp_path, c=claim())
    assert outcomes(provisioning.csi_driver, *facts, using, None) == ["fail"]


@pytest.mark.parametrize(("namespace", "expected"), [("default", ["fail"]), ("elsewhere", ["skip"])])
def test_class_of_a_claim_that_is_there_and_mounted(
    tmp_path: Path, namespace: str, expected: list[str]
) -> None:
    mounts = recipes(tmp_path, deploy=mounting("cache", namespace=namespace))
    claims = PersistentVolumeClaims((PersistentVolumeClaim(name="cache", storage_class="gp3"),))
    around = one(EBS), drivers("nfs.csi.k8s.io", cpu=""), SPREAD, mounts, claims
    assert outcomes(provisioning.csi_driver, *around) == expected


def test_node_out_of_use_is_not_checked() -> None:
    registered = drivers("nfs.csi.k8s.io", new="", down="", cordoned="")
    nodes = Nodes((node("down", ready="False"), node("cordoned", cordoned=True), node("no-kubelet-yet")))
    assert outcomes(provisioning.csi_driver, one(NFS), registered, nodes, None, None) == []


@pytest.mark.parametrize(
    ("provisioner", "driver"),
    [
        ("ebs.csi.aws.com", "ebs.csi.aws.com"),
        ("kubernetes.io/azure-file", "file.csi.azure.com"),
        ("example.com/nfs", None),
        ("nfs-subdir-external-provisioner", None),
    ],
)
def test_driver_of_a_provisioner(provisioner: str, driver: str | None) -> None:
    assert find_csi_driver(provisioner) == driver


def test_every_row_has_a_source() -> None:
    assert "ebs.csi.aws.com" in _rows()
    assert all(row.source.startswith("https://") for row in _rows().values())
