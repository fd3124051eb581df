"""A cluster whose GPUs and NICs are offered through Dynamic Resource Allocation alone."""

from tests.clusters.objects import make_object
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.kinds import ClusterKind, classes, daemon, gpu_nodes

DRIVER = "nvidia-dra-driver-gpu"


def device_class(name: str, driver: str) -> Object:
    selectors = [{"cel": {"expression": f"device.driver == '{driver}'"}}]
    return make_object("resource.k8s.io/v1 DeviceClass", name, spec={"selectors": selectors})


def slice_of(node: str, driver: str, devices: list[Object]) -> Object:
    """What a driver offers on a node."""
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": driver, "nodeName": node, "pool": pool, "devices": devices}
    return make_object("resource.k8s.io/v1 ResourceSlice", f"{node}-{driver}", spec=spec)


def dra_only(cluster: ControlPlane) -> None:
    """NVIDIA's DRA driver and DRANET: nothing to allocate on the node itself."""
    # https://github.com/kubernetes-sigs/dra-driver-nvidia-gpu
    # https://dranet.dev/docs/user/nvidia-dranet
    # The driver's chart runs on nodes with this label, which people set where nobody discovers:
    # https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/dra-intro-install.html
    labels = "nvidia.com/gpu.present=true node.kubernetes.io/instance-type=bm.gpu.h100"
    gpu_nodes(cluster, "worker-1 worker-2", labels, "", "6.8.0-71-generic")
    attributes = {
        "architecture": {"string": "Hopper"},
        "driverVersion": {"version": "580.95.5"},
        "productName": {"string": "NVIDIA H100 80GB HBM3"},
        "type": {"string": "gpu"},
    }
    gpu = {"attributes": attributes, "capacity": {"memory": {"value": "81559Mi"}}}
    gpus = [{"name": f"gpu-{n}", **gpu} for n in range(8)]
    nics = [{"name": f"gpu{n}rdma0", "attributes": {"dra.net/rdma": {"bool": True}}} for n in range(8)]
    for node in ("worker-1", "worker-2"):
        cluster.apply(slice_of(node, "gpu.nvidia.com", gpus), slice_of(node, "dra.net", nics))
    cluster.apply(device_class("gpu.nvidia.com", "gpu.nvidia.com"), device_class("dranet", "dra.net"))
    image = "nvcr.io/nvidia/k8s-dra-driver-gpu:v25.12.0"
    daemon(cluster, f"{DRIVER}-kubelet-plugin", DRIVER, image, {"app.kubernetes.io/name": DRIVER})
    dranet = "registry.k8s.io/networking/dranet:v1.0.0"
    daemon(cluster, "dranet", "kube-system", dranet, {"k8s-app": "dranet"})
    classes(cluster, "rook-cephfs", "rook-cephfs=rook-ceph.cephfs.csi.ceph.com")


DIFFERS = """
gpu.allocatable=skip gpu.dra=pass gpu.operator=skip
rdma.gpudirect=skip rdma.operator=skip rdma.resources=pass
"""
KINDS = [ClusterKind("DRA only", dra_only, DIFFERS)]
