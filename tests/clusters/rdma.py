"""InfiniBand on every GPU node, by the NVIDIA Network Operator."""

from tests.clusters.gpu import GPU_NODES
from tests.clusters.objects import make_namespace, make_object, make_workload
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = (
    "network-operator/mellanox.com_nicclusterpolicies.yaml",
    "network-operator/mellanox.com_nicnodepolicies.yaml",
)
# A zone, and where in the network a node is, as AWS tells.
LAYERS = {"topology.kubernetes.io/zone": "a", "topology.k8s.aws/network-node-layer-1": "nn-1"}
NAMESPACE = "nvidia-network-operator"
PLUGIN = "nvcr.io/nvidia/mellanox/k8s-rdma-shared-dev-plugin:network-operator-v26.4.1"
SRIOV = "nvcr.io/nvidia/mellanox/sriov-network-device-plugin:network-operator-v26.4.1"
CONTROLLER = "nvcr.io/nvidia/cloud-native/network-operator:v26.4.1"


def devices(cluster: ControlPlane, node: str, capacity: dict[str, str], **allocatable: str) -> None:
    """Have a node report devices; `allocatable` says where it differs, by the last part of the name."""
    left = {name: allocatable.get(name.rpartition("/")[2], amount) for name, amount in capacity.items()}
    status = {"capacity": capacity, "allocatable": left}
    cluster.patch_status(make_object("Node", node, status=status))


def nic_policy(name: str = "nic-cluster-policy", state: str = "ready", **reported: tuple[str, str]) -> Object:
    """A NicClusterPolicy as the operator reports on it; `reported` are state and message by component."""
    applied = dict.fromkeys(("OFED", "RDMA-device-plugin"), ("ready", ""))
    applied |= {"SRIOV-device-plugin": ("ignore", ""), **reported}
    plugin = {
        "image": "k8s-rdma-shared-dev-plugin",
        "repository": "nvcr.io/nvidia/mellanox",
        "version": "network-operator-v26.4.1",
        "config": '{"configList": [{"resourceName": "ib", "rdmaHcaMax": 8}]}',
    }
    states = [{"name": f"state-{key}", "state": is_, "message": why} for key, (is_, why) in applied.items()]
    return make_object(
        "mellanox.com/v1alpha1 NicClusterPolicy",
        name,
        spec={"rdmaSharedDevicePlugin": plugin},
        status={"state": state, "appliedStates": states},
    )


def plugin(*, ready: int = len(GPU_NODES)) -> Object:
    desired = len(GPU_NODES)
    return make_workload("DaemonSet", "rdma-shared-dp-ds", NAMESPACE, PLUGIN, desired=desired, ready=ready)


def controller(*, ready: int = 1) -> Object:
    return make_workload("Deployment", "network-operator", NAMESPACE, CONTROLLER, ready=ready)


def furnish(cluster: ControlPlane) -> None:
    for node in GPU_NODES:
        devices(cluster, node, {"rdma/ib": "8"})
    cluster.apply(make_namespace(NAMESPACE), nic_policy(), plugin(), controller())
