"""InfiniBand on every GPU node, by the NVIDIA Network Operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.clusters.gpu import GPU_NODES
from tests.controlplane.server import ControlPlane

CRDS: tuple[str, ...] = (
    "network-operator/mellanox.com_nicclusterpolicies.yaml",
    "network-operator/mellanox.com_nicnodepolicies.yaml",
)
NAMESPACE = "nvidia-network-operator"
PLUGIN = "nvcr.io/nvidia/mellanox/k8s-rdma-shared-dev-plugin:network-operator-v26.4.1"
SRIOV = "nvcr.io/nvidia/mellanox/sriov-network-device-plugin:network-operator-v26.4.1"
CONTROLLER = "nvcr.io/nvidia/cloud-native/network-operator:v26.4.1"


def devices(cluster: ControlPlane, node: str, capacity: dict[str, str], **allocatable: str) -> None:
    """Have a node report devices; `allocatable` says where it differs, by the last part of the name."""
    left = {name: allocatable.get(name.rpartition("/")[2], amount) for name, amount in capacity.items()}
    status = {"capacity": capacity, "allocatable": left}
    cluster.patch_status({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": status})


def nic_policy(
    name: str = "nic-cluster-policy", state: str = "ready", **states: tuple[str, str]
) -> dict[str, Any]:
    """A NicClusterPolicy as the operator reports on it; `states` are state and message by component."""
    applied = {
        "OFED": ("ready", ""),
        "RDMA-device-plugin": ("ready", ""),
        "SRIOV-device-plugin": ("ignore", ""),
    }
    applied |= {key.replace("_", "-"): value for key, value in states.items()}
    return {
        "apiVersion": "mellanox.com/v1alpha1",
        "kind": "NicClusterPolicy",
        "metadata": {"name": name},
        "spec": {
            "rdmaSharedDevicePlugin": {
                "image": "k8s-rdma-shared-dev-plugin",
                "repository": "nvcr.io/nvidia/mellanox",
                "version": "network-operator-v26.4.1",
                "config": '{"configList": [{"resourceName": "ib", "rdmaHcaMax": 8}]}',
            }
        },
        "status": {
            "state": state,
            "appliedStates": [
                {"name": f"state-{key}", "state": value, "message": message}
                for key, (value, message) in applied.items()
            ],
        },
    }


def workload(
    kind: str,
    name: str,
    namespace: str,
    image: str,
    *,
    desired: int = 1,
    ready: int | None = None,
    labels: Mapping[str, str] | None = None,
    selector: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A DaemonSet or Deployment, and what its controller reports."""
    ready = desired if ready is None else ready
    daemon = kind == "DaemonSet"
    labels = dict(labels or {"app": name})
    spec = {"containers": [{"name": "main", "image": image}], "nodeSelector": dict(selector or {})}
    pod = {"metadata": {"labels": labels}, "spec": spec}
    status = (
        {"desiredNumberScheduled": desired, "numberReady": ready, "currentNumberScheduled": desired}
        | {"numberMisscheduled": 0, "updatedNumberScheduled": desired}
        if daemon
        else {"replicas": desired, "readyReplicas": ready, "updatedReplicas": desired}
    )
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": pod,
            **({} if daemon else {"replicas": desired}),
        },
        "status": {"observedGeneration": 1, **status},
    }


def plugin(*, ready: int | None = None) -> dict[str, Any]:
    return workload("DaemonSet", "rdma-shared-dp-ds", NAMESPACE, PLUGIN, desired=len(GPU_NODES), ready=ready)


def controller(*, ready: int = 1) -> dict[str, Any]:
    return workload("Deployment", "network-operator", NAMESPACE, CONTROLLER, ready=ready)


def furnish(cluster: ControlPlane) -> None:
    for node in GPU_NODES:
        devices(cluster, node, {"rdma/ib": "8"})
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    cluster.apply(nic_policy(), plugin(), controller())
