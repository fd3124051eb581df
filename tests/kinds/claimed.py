"""A cluster whose GPUs and NICs are offered through Dynamic Resource Allocation alone."""

from __future__ import annotations

from typing import Any

from tests.controlplane.server import ControlPlane
from tests.kinds import ClusterKind, classes, daemon, gpu_nodes

NODES = ("worker-1", "worker-2")


def device_class(name: str, driver: str) -> dict[str, Any]:
    expression = f"device.driver == '{driver}'"
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": {"selectors": [{"cel": {"expression": expression}}]},
    }


def slice_of(node: str, driver: str, devices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{node}-{driver}"},
        "spec": {
            "driver": driver,
            "nodeName": node,
            "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
            "devices": devices,
        },
    }


def dra_only(cluster: ControlPlane) -> None:
    """NVIDIA's DRA driver and DRANET: nothing to allocate on the node itself."""
    # https://github.com/kubernetes-sigs/dra-driver-nvidia-gpu
    # https://dranet.dev/docs/user/nvidia-dranet
    # The driver's chart runs on nodes with this label, which people set where nobody discovers:
    # https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/dra-intro-install.html
    labels = {"nvidia.com/gpu.present": "true", "node.kubernetes.io/instance-type": "bm.gpu.h100"}
    gpu_nodes(cluster, *NODES, labels=labels, capacity={}, kernel="6.8.0-71-generic")
    gpus = [
        {
            "name": f"gpu-{number}",
            "attributes": {
                "architecture": {"string": "Hopper"},
                "driverVersion": {"version": "580.95.5"},
                "productName": {"string": "NVIDIA H100 80GB HBM3"},
                "type": {"string": "gpu"},
            },
            "capacity": {"memory": {"value": "81559Mi"}},
        }
        for number in range(8)
    ]
    nics = [{"name": f"gpu{n}rdma0", "attributes": {"dra.net/rdma": {"bool": True}}} for n in range(8)]
    for node in NODES:
        cluster.apply(slice_of(node, "gpu.nvidia.com", gpus), slice_of(node, "dra.net", nics))
    cluster.apply(device_class("gpu.nvidia.com", "gpu.nvidia.com"), device_class("dranet", "dra.net"))
    driver = "nvcr.io/nvidia/k8s-dra-driver-gpu:v25.12.0"
    plugin = "nvidia-dra-driver-gpu-kubelet-plugin"
    daemon(
        cluster,
        plugin,
        "nvidia-dra-driver-gpu",
        driver,
        labels={"app.kubernetes.io/name": "nvidia-dra-driver-gpu"},
    )
    dranet = "registry.k8s.io/networking/dranet:v1.0.0"
    daemon(cluster, "dranet", "kube-system", dranet, labels={"k8s-app": "dranet"})
    classes(cluster, "rook-cephfs", rook_cephfs="rook-ceph.cephfs.csi.ceph.com")


KINDS = [
    ClusterKind(
        "DRA only",
        dra_only,
        {
            "gpu.allocatable": "skip",
            "gpu.dra": "pass",
            "gpu.operator": "skip",
            "rdma.gpudirect": "skip",
            "rdma.operator": "skip",
            "rdma.resources": "pass",
        },
    )
]
