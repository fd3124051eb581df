"""Clusters whose GPUs come through the GPU Operator: by Helm, by OLM, in MIG slices."""

from tests.clusters import gpu, platform, rdma
from tests.clusters.gpu import OPERATOR
from tests.clusters.objects import make_namespace, make_object, make_workload
from tests.controlplane.server import ControlPlane
from tests.kinds import ClusterKind, classes, daemon, gpu_nodes

# What GPU Feature Discovery and the operator write:
# https://github.com/NVIDIA/k8s-device-plugin/blob/main/docs/gpu-feature-discovery/README.md
# https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/getting-started.html
DISCOVERED = """
    feature.node.kubernetes.io/pci-10de.present=true nvidia.com/cuda.driver-version.full=580.95.05
    nvidia.com/cuda.driver-version.major=580 nvidia.com/cuda.driver-version.minor=95
    nvidia.com/cuda.driver-version.revision=05 nvidia.com/cuda.runtime-version.full=13.0
    nvidia.com/gpu.compute.major=9 nvidia.com/gpu.compute.minor=0 nvidia.com/gpu.count=8
    nvidia.com/gpu.family=hopper nvidia.com/gpu.machine=DGXH100 nvidia.com/gpu.memory=81559
    nvidia.com/gpu.present=true nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3 nvidia.com/gpu.replicas=1
    nvidia.com/gpu.sharing-strategy=none nvidia.com/gpu.deploy.container-toolkit=true
    nvidia.com/gpu.deploy.dcgm-exporter=true nvidia.com/gpu.deploy.device-plugin=true
    nvidia.com/gpu.deploy.driver=true nvidia.com/gpu.deploy.gpu-feature-discovery=true
    nvidia.com/gpu.deploy.operator-validator=true nvidia.com/mig.capable=true
    nvidia.com/mig.config=all-disabled nvidia.com/mig.config.state=success nvidia.com/mig.strategy=single
"""
UBUNTU = "5.15.0-1053-nvidia"
# https://docs.openshift.com/container-platform/4.13/authentication/managing-security-context-constraints.html
CONSTRAINTS = make_object(
    "apiextensions.k8s.io/v1 CustomResourceDefinition",
    "securitycontextconstraints.security.openshift.io",
    spec={
        "group": "security.openshift.io",
        "scope": "Cluster",
        "names": {"plural": "securitycontextconstraints", "kind": "SecurityContextConstraints"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
)
NFS = "nfs-client=cluster.local/nfs-subdir-external-provisioner"


def operator(cluster: ControlPlane, namespace: str, labels: dict[str, str], node: str) -> None:
    cluster.apply(make_namespace(namespace))
    cluster.pod("gpu-operator-77f4c5b8d6-x2k9p", namespace, node=node, labels=labels)
    cluster.apply(gpu.cluster_policy(enabled=True))
    operands = {
        "nvidia-driver-daemonset": ("driver", "driver:580.95.05"),
        "nvidia-container-toolkit-daemonset": ("container-toolkit", "k8s/container-toolkit:v1.18.0"),
        "nvidia-device-plugin-daemonset": ("device-plugin", "k8s-device-plugin:v0.18.0"),
        "gpu-feature-discovery": ("gpu-feature-discovery", "k8s-device-plugin:v0.18.0"),
        "nvidia-operator-validator": ("operator-validator", "gpu-operator:v25.10.0"),
        "nvidia-dcgm-exporter": ("dcgm-exporter", "k8s/dcgm-exporter:4.4.1-4.6.0-distroless"),
    }
    for name, (part, image) in operands.items():
        selector = {f"nvidia.com/gpu.deploy.{part}": "true"}
        daemon(cluster, name, namespace, f"nvcr.io/nvidia/{image}", selector=selector)


def by_helm(cluster: ControlPlane) -> None:
    """DGX nodes with ConnectX, both operators installed by Helm."""
    # https://docs.nvidia.com/networking/display/kubernetes2641/customizations/cr-full-example.html
    capacity = "nvidia.com/gpu=8 rdma/rdma_shared_device_a=63"
    gpu_nodes(cluster, "dgx-1 dgx-2", DISCOVERED, capacity, UBUNTU)
    operator(cluster, "gpu-operator", OPERATOR, "dgx-1")
    daemon(cluster, "rdma-shared-dp-ds", rdma.NAMESPACE, rdma.PLUGIN)
    cluster.apply(rdma.nic_policy(), rdma.controller())
    classes(cluster, "nfs-client", NFS)


def by_olm(cluster: ControlPlane) -> None:
    """OpenShift: OLM puts operators into namespaces of their own; DNS, taints and constraints are its own."""
    # https://docs.nvidia.com/datacenter/cloud-native/openshift/latest/install-gpu-ocp.html
    # https://docs.redhat.com/en/documentation/red_hat_openshift_data_foundation
    # https://docs.redhat.com/en/documentation/openshift_container_platform/4.20/html/specialized_hardware_and_driver_enablement/psap-node-feature-discovery-operator
    # https://docs.redhat.com/en/documentation/openshift_container_platform/4.9/html/networking/dns-operator
    cluster.delete(platform.endpoints("kube-dns", "kube-system"))
    cluster.apply(
        *(make_namespace(name) for name in ("openshift-dns", "openshift-dns-operator", "openshift-nfd"))
    )
    cluster.apply(
        platform.endpoints("dns-default", "openshift-dns", ready=3),
        make_workload("Deployment", "dns-operator", "openshift-dns-operator"),
        make_workload("Deployment", "nfd-controller-manager", "openshift-nfd"),
        make_workload("DaemonSet", "nfd-worker", "openshift-nfd", desired=3),
        CONSTRAINTS,
    )
    master = {"key": "node-role.kubernetes.io/master", "effect": "NoSchedule"}
    cluster.node("master-0", labels={"node-role.kubernetes.io/master": ""}, taints=[master])
    labels = f"""
    {DISCOVERED} node-role.kubernetes.io/worker= node.openshift.io/os_id=rhcos
    node.kubernetes.io/instance-type=p5.48xlarge topology.kubernetes.io/region=us-east-1
    topology.kubernetes.io/zone=us-east-1a
    """
    names = "ip-10-0-131-14.ec2.internal ip-10-0-131-15.ec2.internal"
    gpu_nodes(cluster, names, labels, "nvidia.com/gpu=8", "5.14.0-570.49.1.el9_6.x86_64")
    operator(cluster, "nvidia-gpu-operator", {"app": "gpu-operator"}, "ip-10-0-131-14.ec2.internal")
    provisioners = """
    gp3-csi=ebs.csi.aws.com ocs-storagecluster-ceph-rbd=openshift-storage.rbd.csi.ceph.com
    ocs-storagecluster-cephfs=openshift-storage.cephfs.csi.ceph.com
    """
    classes(cluster, "gp3-csi", provisioners)


def mig(cluster: ControlPlane, capacity: str, labels: str) -> None:
    gpu_nodes(cluster, "mig-1 mig-2", f"{DISCOVERED} {labels}", capacity, UBUNTU)
    operator(cluster, "gpu-operator", OPERATOR, "mig-1")
    classes(cluster, "nfs-client", NFS)


def mig_mixed(cluster: ControlPlane) -> None:
    """Slices under names of their own; the whole GPUs that were there before stand at zero."""
    # https://docs.nvidia.com/datacenter/cloud-native/openshift/latest/mig-ocp.html
    labels = """
    nvidia.com/mig-2g.20gb.count=24 nvidia.com/mig-2g.20gb.memory=19968
    nvidia.com/mig-2g.20gb.product=NVIDIA-H100-80GB-HBM3-MIG-2g.20gb
    nvidia.com/mig.config=all-2g.20gb nvidia.com/mig.strategy=mixed
    """
    mig(cluster, "nvidia.com/gpu=0 nvidia.com/mig-2g.20gb=24", labels)


def mig_single(cluster: ControlPlane) -> None:
    """Slices that are all alike and go by the name of whole GPUs; the product tells."""
    # https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/gpu-operator-mig.html
    labels = """
    nvidia.com/gpu.count=56 nvidia.com/gpu.memory=9984 nvidia.com/gpu.slices.ci=1 nvidia.com/gpu.slices.gi=1
    nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3-MIG-1g.10gb
    nvidia.com/mig.config=all-1g.10gb nvidia.com/mig.strategy=single
    """
    mig(cluster, "nvidia.com/gpu=56", labels)


NO_RDMA = "gpu.operator=pass rdma.gpudirect=skip rdma.operator=skip rdma.resources=skip"
RDMA = "gpu.operator=pass rdma.gpudirect=pass rdma.operator=pass rdma.resources=pass"
KINDS = [
    ClusterKind("GPU Operator by Helm", by_helm, f"{RDMA} storage.csi-driver=skip"),
    ClusterKind("GPU Operator by OLM", by_olm, NO_RDMA),
    ClusterKind("MIG, mixed", mig_mixed, f"{NO_RDMA} gpu.mig=pass storage.csi-driver=skip"),
    ClusterKind("MIG, single", mig_single, f"{NO_RDMA} gpu.mig=pass storage.csi-driver=skip"),
]
