"""Situations of the storage checks."""

from tests import clusters
from tests.clusters.objects import make_namespace, make_object
from tests.clusters.storage import claim, claim_event, csi_driver, csi_node, storage_class
from tests.controlplane.server import ControlPlane
from tests.situations import Change, Situation, applied, deleted, steps, with_recipe

ZONE = "topology.kubernetes.io/zone"
NO_CLASS = deleted(storage_class())
NO_DEFAULT_CLASS = applied(storage_class(default=False))
CACHE = applied(claim("model-cache", size="150Gi"))


def other_class(name: str, provisioner: str) -> Change:
    """Another default class takes the place of the first, without a driver."""
    return steps(NO_CLASS, applied(storage_class(name, provisioner)))


def served_class(name: str, provisioner: str, binding: str = "Immediate") -> Change:
    """Another default class takes the place of the first, with its driver on every GPU node."""
    nodes = [csi_node(node, provisioner) for node in clusters.GPU_NODES]
    driver = [] if "/" in provisioner else [csi_driver(provisioner), *nodes]
    return steps(NO_CLASS, applied(storage_class(name, provisioner, binding=binding), *driver))


def zones(cpu: str, gpus: str) -> Change:
    """The zones of the nodes without and with GPUs."""

    def change(cluster: ControlPlane) -> None:
        cluster.node("cpu-1", labels={ZONE: cpu})
        for node in clusters.GPU_NODES:
            cluster.node(node, gpus=8, labels={**clusters.GPU_LABELS, ZONE: gpus})

    return change


def claim_without_a_volume(cluster: ControlPlane) -> None:
    (made,) = cluster.apply(claim("weights", phase="Pending"))
    cluster.apply(claim_event(made, "ProvisioningFailed", "rpc error: out of capacity"))


def volume_in(zone: str) -> Change:
    """The cache's volume, on a disk of a zone."""
    terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}]
    spec = {
        "accessModes": ["ReadWriteMany"],
        "capacity": {"storage": "150Gi"},
        "claimRef": {"namespace": "default", "name": "model-cache"},
        "csi": {"driver": "disks.csi.example", "volumeHandle": "1"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
    }
    return applied(make_object("PersistentVolume", "pvc-model-cache", spec=spec, status={"phase": "Bound"}))


WAITING = storage_class("waits", default=False, binding="WaitForFirstConsumer")
DISKS = served_class("gp3", "ebs.csi.aws.com")
DISKS_THAT_WAIT = served_class("gp3", "ebs.csi.aws.com", "WaitForFirstConsumer")
APART = zones("us-east-1a", "us-east-1b")
CSI_NODES = [csi_node(name) for name in clusters.GPU_NODES]
OTHER_DRIVERS = [csi_node(name, "other.csi.example") for name in clusters.GPU_NODES]

BLOCK, UNKNOWN = {"storage.rwx-class": "warn"}, {"storage.rwx-class": "unjudged"}
UNBOUND = {"storage.claims-bound": "fail"}
NO_DEFAULT = {"storage.binding-mode": "skip", "storage.csi-driver": "skip", "storage.default-class": "warn"}
MATCHES = {"storage.claim-matches": "pass", "storage.claims-bound": "pass"}
DIFFERS = {"storage.claim-matches": "fail", "storage.claims-bound": "pass"}

SITUATIONS = [
    Situation("no default class", NO_DEFAULT_CLASS, NO_DEFAULT, "shared"),
    Situation(
        "two default classes", applied(storage_class("other")), {"storage.default-class": "warn"}, "other"
    ),
    Situation(
        "block storage only",
        other_class("gp3", "ebs.csi.aws.com"),
        BLOCK | {"storage.csi-driver": "fail"},
        "gp3",
        says="ebs.csi.aws.com",
    ),
    Situation(
        "unknown CSI driver",
        other_class("mystery", "csi.mystery.example"),
        UNKNOWN | {"storage.csi-driver": "fail"},
        "mystery",
    ),
    Situation(
        "unknown provisioner",
        other_class("mystery", "mystery.example"),
        UNKNOWN | {"storage.csi-driver": "warn"},
        "mystery",
        says="external provisioner",
    ),
    Situation("no class", NO_CLASS, NO_DEFAULT | BLOCK, says="no default StorageClass"),
    Situation(
        "disks in another zone",
        steps(DISKS, APART),
        BLOCK | {"storage.binding-mode": "warn"},
        "gp3",
        says="us-east-1a",
    ),
    Situation("disks in one zone", steps(DISKS, zones("us-east-1b", "us-east-1b")), BLOCK, "gp3"),
    Situation("disks that wait for their pods", steps(DISKS_THAT_WAIT, APART), BLOCK, "gp3"),
    Situation(
        "node folders",
        served_class("local-path", "rancher.io/local-path"),
        BLOCK | {"storage.binding-mode": "warn", "storage.csi-driver": "skip"},
        "local-path",
    ),
    Situation(
        "no driver",
        steps(deleted(csi_driver()), applied(*OTHER_DRIVERS)),
        {"storage.csi-driver": "fail"},
        "shared",
    ),
    Situation("driver not on a node", applied(csi_node("gpu-2")), {"storage.csi-driver": "warn"}, "gpu-2"),
    Situation("virtual cluster", deleted(csi_driver(), *CSI_NODES), {"storage.csi-driver": "skip"}),
    Situation("claim without a volume", claim_without_a_volume, UNBOUND, "weights", says="out of capacity"),
    Situation(
        "claim that waits for a pod",
        applied(WAITING, claim("weights", storage_class="waits", phase="Pending")),
    ),
    Situation("claim that lost its volume", applied(claim("weights", phase="Lost")), UNBOUND, "weights"),
    Situation(
        "claim of a missing class",
        applied(claim("weights", storage_class="gone", phase="Pending")),
        UNBOUND,
        "weights",
        says="StorageClass gone",
    ),
    Situation(
        "claim elsewhere", applied(make_namespace("elsewhere"), claim("weights", "elsewhere", phase="Lost"))
    ),
    *with_recipe(
        "recipes/qwen3-32b",
        Situation("existing cache", CACHE, MATCHES),
        Situation(
            "existing cache, no default class",
            steps(CACHE, NO_DEFAULT_CLASS),
            NO_DEFAULT | MATCHES | {"storage.csi-driver": "pass"},  # of the class of the existing cache
        ),
        Situation(
            "cache on a disk in another zone",
            steps(CACHE, zones("a", "b"), volume_in("a")),
            MATCHES  # nodes have zones now
            | {"storage.claim-reach": "fail", "capacity.fits": "fail", "rdma.topology": "pass"},
            "pvc-model-cache",
            says="topology.kubernetes.io/zone=a",
        ),
        Situation(
            "cache is smaller", applied(claim("model-cache")), DIFFERS, "model-cache", says="expansion"
        ),
        Situation(
            "cache with other access modes",
            applied(claim("model-cache", mode="ReadWriteOnce", size="150Gi")),
            DIFFERS,
            "model-cache",
            says="ReadWriteOnce",
        ),
    ),
]
