"""Clusters of clouds that bring driver and device plugin themselves."""

from tests.clusters import gpu
from tests.clusters.objects import make_namespace
from tests.controlplane.server import ControlPlane
from tests.kinds import ClusterKind, classes, daemon, gpu_nodes


def aks(cluster: ControlPlane) -> None:
    """AKS with its managed GPU experience: no label of GPU Feature Discovery, no operator, no zone."""
    # https://learn.microsoft.com/azure/aks/use-labels, .../aks/use-nvidia-gpu, .../aks/concepts-storage
    # A node without a zone is labelled with its fault domain:
    # https://kubernetes-sigs.github.io/cloud-provider-azure/topics/availability-zones/
    # What a checker made of this: https://github.com/ai-dynamo/dynamo/issues/6915
    labels = """
        agentpool=gpu kubernetes.azure.com/accelerator=nvidia kubernetes.azure.com/agentpool=gpu
        kubernetes.azure.com/mode=user kubernetes.azure.com/os-sku=Ubuntu
        node.kubernetes.io/instance-type=Standard_NC24ads_A100_v4 topology.kubernetes.io/region=eastus
        topology.kubernetes.io/zone=0
    """
    names = "aks-gpu-12345678-vmss000000 aks-gpu-12345678-vmss000001"
    gpu_nodes(cluster, names, labels, "nvidia.com/gpu=1", "5.15.0-1092-azure", "sku=gpu:NoSchedule")
    provisioners = """
    default=disk.csi.azure.com managed-csi=disk.csi.azure.com
    azurefile-csi=file.csi.azure.com azurefile-csi-premium=file.csi.azure.com
    """
    classes(cluster, "default", provisioners)


def gke(cluster: ControlPlane) -> None:
    """GKE on a3-ultragpu-8g: its own device plugin, RDMA by networks of the node."""
    # https://cloud.google.com/kubernetes-engine/docs/how-to/gpus
    # https://docs.cloud.google.com/compute/docs/instances/view-instance-topology
    # https://github.com/ai-dynamo/dynamo/blob/main/recipes/qwen3-32b/vllm/cloud-providers/deploy-gke-roce.yaml
    labels = """
        cloud.google.com/gce-topology-block=3e3056e23cf91a5cb4a8621b6a52c100
        cloud.google.com/gce-topology-subblock=0fc09525cbd5abd734342893ca1c083f
        cloud.google.com/gke-accelerator=nvidia-h200-141gb cloud.google.com/gke-accelerator-count=8
        cloud.google.com/gke-gpu=true cloud.google.com/gke-gpu-driver-version=latest
        cloud.google.com/gke-nodepool=a3-ultra cloud.google.com/machine-family=a3
        node.kubernetes.io/instance-type=a3-ultragpu-8g topology.kubernetes.io/region=us-west1
        topology.kubernetes.io/zone=us-west1-c
    """
    networks = [f"networking.gke.io.networks/rdma-{n}{twin}=1" for n in range(8) for twin in ("", ".IP")]
    capacity = " ".join(["nvidia.com/gpu=8", *networks])
    taint = "nvidia.com/gpu=present:NoSchedule"
    gpu_nodes(cluster, "gke-a3-ultra-1 gke-a3-ultra-2", labels, capacity, "6.6.93+", taint)
    plugin, image = "nvidia-gpu-device-plugin-large-cos", "gke.gcr.io/nvidia-gpu-device-plugin"
    daemon(cluster, plugin, "kube-system", image, {"k8s-app": "nvidia-gpu-device-plugin"})
    provisioners = """
    standard=kubernetes.io/gce-pd standard-rwo=pd.csi.storage.gke.io premium-rwo=pd.csi.storage.gke.io
    enterprise-multishare-rwx=filestore.csi.storage.gke.io standard-rwx=filestore.csi.storage.gke.io
    """
    classes(cluster, "standard-rwo", provisioners)


def eks(cluster: ControlPlane) -> None:
    """EKS on p5.48xlarge: the driver in the image, the device plugins of NVIDIA and of EFA, nothing else."""
    # https://docs.aws.amazon.com/eks/latest/userguide/device-management-efa.html
    # https://docs.aws.amazon.com/eks/latest/userguide/device-management-nvidia.html
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-topology-works.html
    labels = """
        eks.amazonaws.com/capacityType=CAPACITY_BLOCK eks.amazonaws.com/nodegroup=p5
        eks.amazonaws.com/nodegroup-image=ami-0c4ca6471e3246940
        k8s.io/cloud-provider-aws=36ba6312c5cced003c295089f34e99e3
        node.kubernetes.io/instance-type=p5.48xlarge
        topology.k8s.aws/network-node-layer-1=nn-c79422f4e61deb9ca
        topology.k8s.aws/network-node-layer-2=nn-6ff5053c3a4d86db7
        topology.k8s.aws/network-node-layer-3=nn-dcbcca51aebf4c95b topology.k8s.aws/zone-id=use1-az6
        topology.kubernetes.io/region=us-east-1 topology.kubernetes.io/zone=us-east-1a
    """
    names = "ip-10-0-1-230.ec2.internal ip-10-0-1-231.ec2.internal"
    capacity = "nvidia.com/gpu=8 vpc.amazonaws.com/efa=32 hugepages-2Mi=42242Mi"
    gpu_nodes(cluster, names, labels, capacity, "6.12.40-64.114.amzn2023.x86_64")
    # https://github.com/NVIDIA/k8s-device-plugin/blob/main/deployments/static/nvidia-device-plugin.yml
    plugin = "nvcr.io/nvidia/k8s-device-plugin:v0.18.0"
    named = {"name": "nvidia-device-plugin-ds"}
    daemon(cluster, "nvidia-device-plugin-daemonset", "kube-system", plugin, named)
    efa = "602401143452.dkr.ecr.us-east-1.amazonaws.com/eks/aws-efa-k8s-device-plugin:v0.5.13"
    named = {"name": "aws-efa-k8s-device-plugin"}
    daemon(cluster, "aws-efa-k8s-device-plugin-daemonset", "kube-system", efa, named)
    classes(cluster, "gp3", "gp2=kubernetes.io/aws-ebs gp3=ebs.csi.aws.com efs-sc=efs.csi.aws.com")


def coreweave(cluster: ControlPlane) -> None:
    """CoreWeave: labels of its own, `rdma/ib` that only says yes, the operator kept by the cloud."""
    # https://docs.coreweave.com/products/networking/hpc-interconnect/infiniband-roce-labels
    # https://docs.coreweave.com/products/networking/hpc-interconnect/use-gpudirect-rdma
    # https://docs.coreweave.com/products/cks/clusters/scheduling/workload-scheduling
    # https://docs.coreweave.com/products/cks/nodes/gpu-driver-management/gpu-driver-management-cks
    labels = """
        backend.coreweave.cloud/fabric=US-EAST-04A-FABRIC-0 backend.coreweave.cloud/flavor=infiniband
        backend.coreweave.cloud/leafgroup=12 gpu.nvidia.com/class=H100_NVLINK_80GB gpu.nvidia.com/count=8
        gpu.nvidia.com/model=H100_NVLINK_80GB gpu.nvidia.com/vram=81
        ib.coreweave.cloud/fabric=US-EAST-04A-FABRIC-0 ib.coreweave.cloud/superpod=3
        node.kubernetes.io/instance-type=gd-8xh100ib-i128 topology.kubernetes.io/region=US-EAST-04
        topology.kubernetes.io/zone=US-EAST-04A
    """
    gpu_nodes(cluster, "g1a2b3c g4d5e6f", labels, "nvidia.com/gpu=8 rdma/ib=1k", "6.2.0-1018-coreweave")
    cluster.apply(make_namespace("cw-nvidia-gpu-operator"))  # the page does not tell the namespace
    pod = {"app.kubernetes.io/name": "gpu-operator", "app.kubernetes.io/component": "gpu-operator"}
    cluster.pod("gpu-operator-6c4d", "cw-nvidia-gpu-operator", node="cpu-1", labels=pod)
    cluster.apply(gpu.cluster_policy(enabled=False))
    classes(cluster, "shared-vast", "shared-vast=csi.vastdata.com")


UNLABELLED = "gpu.homogeneous=skip"  # no label tells the product
UNMANAGED = "gpu.operator=skip rdma.gpudirect=skip"
KINDS = [
    ClusterKind(
        "AKS with managed GPUs",
        aks,
        f"{UNLABELLED} {UNMANAGED} gpu.operands=skip rdma.operator=skip rdma.resources=skip",
    ),
    ClusterKind("GKE with managed GPUs", gke, f"{UNMANAGED} rdma.operator=skip rdma.resources=pass"),
    ClusterKind(
        "EKS with device plugins only",
        eks,
        f"{UNLABELLED} {UNMANAGED} rdma.operator=pass rdma.resources=pass",
    ),
    ClusterKind(
        "CoreWeave",
        coreweave,
        f"{UNLABELLED} gpu.operands=skip gpu.operator=pass "
        "rdma.gpudirect=pass rdma.operator=skip rdma.resources=pass",
    ),
]
