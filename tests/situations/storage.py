"""Situations of the storage checks."""

from __future__ import annotations

from tests import clusters
from tests.clusters import storage
from tests.controlplane.server import ControlPlane
from tests.situations import Situation


def no_default_class(cluster: ControlPlane) -> None:
    cluster.apply(clusters.storage_class(default=False))


def two_default_classes(cluster: ControlPlane) -> None:
    cluster.apply(clusters.storage_class("other"))


def block_storage_only(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class("gp3", "ebs.csi.aws.com"))


def unknown_csi_driver(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class("mystery", "csi.mystery.example"))


def unknown_provisioner(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class("mystery", "mystery.example"))


def no_class(cluster: ControlPlane) -> None:
    cluster.delete(clusters.storage_class())


def replace_class(cluster: ControlPlane, name: str, provisioner: str, binding: str = "Immediate") -> None:
    """Replace the default class, and register the new one's driver on every GPU node."""
    cluster.delete(clusters.storage_class())
    cluster.apply(clusters.storage_class(name, provisioner, binding=binding))
    if "/" not in provisioner:
        cluster.apply(storage.csi_driver(provisioner))
        cluster.apply(*(storage.csi_node(node, provisioner) for node in clusters.GPU_NODES))


def set_zones(cluster: ControlPlane, *zones: str) -> None:
    for node, zone in zip(("cpu-1", *clusters.GPU_NODES), zones, strict=True):
        where = {"topology.kubernetes.io/zone": zone}
        gpus = node != "cpu-1"
        cluster.node(node, gpus=8 if gpus else 0, labels={**where, **(clusters.GPU_LABELS if gpus else {})})


def disks_in_another_zone(cluster: ControlPlane) -> None:
    replace_class(cluster, "gp3", "ebs.csi.aws.com")
    set_zones(cluster, "us-east-1a", "us-east-1b", "us-east-1b", "us-east-1b")


def disks_in_one_zone(cluster: ControlPlane) -> None:
    replace_class(cluster, "gp3", "ebs.csi.aws.com")
    set_zones(cluster, *["us-east-1b"] * 4)


def disks_that_wait(cluster: ControlPlane) -> None:
    replace_class(cluster, "gp3", "ebs.csi.aws.com", "WaitForFirstConsumer")
    set_zones(cluster, "us-east-1a", "us-east-1b", "us-east-1b", "us-east-1b")


def node_folders(cluster: ControlPlane) -> None:
    replace_class(cluster, "local-path", "rancher.io/local-path")


def no_driver(cluster: ControlPlane) -> None:
    cluster.delete(storage.csi_driver())
    cluster.apply(*(storage.csi_node(name, "other.csi.example") for name in clusters.GPU_NODES))


def driver_not_on_a_node(cluster: ControlPlane) -> None:
    cluster.apply(storage.csi_node("gpu-2"))


def virtual_cluster(cluster: ControlPlane) -> None:
    cluster.delete(storage.csi_driver())
    for name in clusters.GPU_NODES:
        cluster.delete(storage.csi_node(name))


def claim_without_a_volume(cluster: ControlPlane) -> None:
    (made,) = cluster.apply(storage.claim("weights", phase="Pending"))
    cluster.apply(storage.claim_event(made, "ProvisioningFailed", "rpc error: out of capacity"))


def claim_that_waits_for_a_pod(cluster: ControlPlane) -> None:
    cluster.apply(clusters.storage_class("waits", default=False, binding="WaitForFirstConsumer"))
    cluster.apply(storage.claim("weights", storage_class="waits", phase="Pending"))


def claim_that_lost_its_volume(cluster: ControlPlane) -> None:
    cluster.apply(storage.claim("weights", phase="Lost"))


def claim_of_a_missing_class(cluster: ControlPlane) -> None:
    cluster.apply(storage.claim("weights", storage_class="gone", phase="Pending"))


def claim_elsewhere(cluster: ControlPlane) -> None:
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}})
    cluster.apply(storage.claim("weights", "elsewhere", phase="Lost"))


def existing_cache(cluster: ControlPlane) -> None:
    cluster.apply(storage.claim("model-cache", size="150Gi"))


def smaller_cache(cluster: ControlPlane) -> None:
    cluster.apply(storage.claim("model-cache"))


def cache_with_other_modes(cluster: ControlPlane) -> None:
    cluster.apply(storage.claim("model-cache", mode="ReadWriteOnce", size="150Gi"))


def cache_without_a_default(cluster: ControlPlane) -> None:
    existing_cache(cluster)
    no_default_class(cluster)


def cache_in_another_zone(cluster: ControlPlane) -> None:
    existing_cache(cluster)
    set_zones(cluster, "a", "b", "b", "b")
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "pvc-model-cache"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "150Gi"},
                "claimRef": {"namespace": "default", "name": "model-cache"},
                "csi": {"driver": "disks.csi.example", "volumeHandle": "1"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}},
            },
            "status": {"phase": "Bound"},
        }
    )


NO_DEFAULT = {"storage.binding-mode": "skip", "storage.csi-driver": "skip", "storage.default-class": "warn"}
RECIPE = "recipes/qwen3-32b"

SITUATIONS = [
    Situation("no default class", no_default_class, NO_DEFAULT, "shared"),
    Situation("two default classes", two_default_classes, {"storage.default-class": "warn"}, "other"),
    Situation(
        "block storage only",
        block_storage_only,
        {"storage.csi-driver": "fail", "storage.rwx-class": "warn"},
        "gp3",
        says="CSI driver ebs.csi.aws.com is not installed",
    ),
    Situation(
        "unknown CSI driver",
        unknown_csi_driver,
        {"storage.csi-driver": "fail", "storage.rwx-class": "warn"},
        "mystery",
    ),
    Situation(
        "unknown provisioner",
        unknown_provisioner,
        {"storage.csi-driver": "warn", "storage.rwx-class": "warn"},
        "mystery",
        says="only an external provisioner of that name",
    ),
    Situation(
        "no class", no_class, {**NO_DEFAULT, "storage.rwx-class": "warn"}, says="no default StorageClass"
    ),
    Situation(
        "disks in another zone",
        disks_in_another_zone,
        {"storage.binding-mode": "warn", "storage.rwx-class": "warn"},
        "gp3",
        says="us-east-1a, which has no GPU node",
    ),
    Situation("disks in one zone", disks_in_one_zone, {"storage.rwx-class": "warn"}, "gp3"),
    Situation("disks that wait for their pods", disks_that_wait, {"storage.rwx-class": "warn"}, "gp3"),
    Situation(
        "node folders",
        node_folders,
        {"storage.binding-mode": "warn", "storage.csi-driver": "skip", "storage.rwx-class": "warn"},
        "local-path",
    ),
    Situation("no driver", no_driver, {"storage.csi-driver": "fail"}, "shared"),
    Situation("driver not on a node", driver_not_on_a_node, {"storage.csi-driver": "warn"}, "gpu-2"),
    Situation("virtual cluster", virtual_cluster, {"storage.csi-driver": "skip"}),
    Situation(
        "claim without a volume",
        claim_without_a_volume,
        {"storage.claims-bound": "fail"},
        "weights",
        says="Pending: ProvisioningFailed: rpc error: out of capacity",
    ),
    Situation("claim that waits for a pod", claim_that_waits_for_a_pod),
    Situation(
        "claim that lost its volume", claim_that_lost_its_volume, {"storage.claims-bound": "fail"}, "weights"
    ),
    Situation(
        "claim of a missing class",
        claim_of_a_missing_class,
        {"storage.claims-bound": "fail"},
        "weights",
        says="StorageClass gone does not exist",
    ),
    Situation("claim elsewhere", claim_elsewhere),
    Situation(
        "existing cache",
        existing_cache,
        {"storage.claim-matches": "pass", "storage.claims-bound": "pass"},
        recipe=RECIPE,
    ),
    Situation(
        "existing cache, and no default class",
        cache_without_a_default,
        {**NO_DEFAULT, "storage.claim-matches": "pass", "storage.claims-bound": "pass"},
        recipe=RECIPE,
    ),
    Situation(
        "cache on a disk in another zone",
        cache_in_another_zone,
        {
            "storage.claim-matches": "pass",
            "storage.claims-bound": "pass",
            "storage.claim-reach": "fail",
            "rdma.topology": "pass",  # nodes have zones now
        },
        "pvc-model-cache",
        says="topology.kubernetes.io/zone=a: none of the 3 nodes",
        recipe=RECIPE,
    ),
    Situation(
        "cache is smaller",
        smaller_cache,
        {"storage.claim-matches": "fail", "storage.claims-bound": "pass"},
        "model-cache",
        says="class shared does not allow expansion",
        recipe=RECIPE,
    ),
    Situation(
        "cache with other access modes",
        cache_with_other_modes,
        {"storage.claim-matches": "fail", "storage.claims-bound": "pass"},
        "model-cache",
        says="it is ReadWriteMany; the existing claim is ReadWriteOnce",
        recipe=RECIPE,
    ),
]
