"""Situations of the checks of GPU nodes and the GPU Operator."""

from typing import Any

from tests import clusters
from tests.clusters import gpu
from tests.clusters.objects import make_namespace, make_object
from tests.controlplane.server import ControlPlane
from tests.situations import Change, Situation, applied, deleted, steps, with_recipe

TAINT = {"key": "dedicated", "value": "training", "effect": "NoSchedule"}
USUAL = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
REMOVED = {"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}
POD = "gpu-operator-7d9f"


def node(name: str = "gpu-2", *, gpus: int = 8, **fields: Any) -> Change:
    """A node of the healthy cluster in another state."""
    fields.setdefault("labels", clusters.GPU_LABELS)
    return lambda cluster: cluster.node(name, gpus=gpus, **fields)


def relabel(*names: str, **labels: str) -> Change:
    """Give nodes other labels, with dots written as __."""
    prefixed = {f"nvidia.com/{key.replace('__', '.').replace('_', '-')}": v for key, v in labels.items()}
    return steps(*(node(name, labels=clusters.GPU_LABELS | prefixed) for name in names or ("gpu-2",)))


def enforced(level: str, *, pods: int) -> Change:
    """The GPU Operator's namespace enforces this level; the toolkit's DaemonSet has so many pods."""
    toolkit = gpu.operand(TOOLKIT, ready=pods)
    toolkit["status"]["currentNumberScheduled"] = pods
    return applied(make_namespace("gpu-operator", **{"pod-security.kubernetes.io/enforce": level}), toolkit)


def everywhere(**labels: str) -> Change:
    return relabel(*clusters.GPU_NODES, **labels)


def cordoned(cluster: ControlPlane) -> None:
    cluster.kubectl("cordon", "gpu-2")


def operator_not_ready(cluster: ControlPlane) -> None:
    cluster.pod(POD, "gpu-operator", node="gpu-1", labels=clusters.OPERATOR, ready=False)


def slices(name: str, count: str) -> Change:
    """A node that is labelled with 56 slices, and has this many."""
    labels = {"mig.strategy": "mixed", "mig.config": "all-1g.18gb", "mig-1g.18gb.count": "56"}
    prefixed = clusters.GPU_LABELS | {f"nvidia.com/{key}": value for key, value in labels.items()}
    return node(name, gpus=0, labels=prefixed, capacity={"nvidia.com/mig-1g.18gb": count})


def described(name: str) -> Change:
    """A node whose GPUs are described by the DRA driver, which took the place of the device plugin."""
    attributes = {"productName": {"string": "NVIDIA H200"}, "driverVersion": {"version": "580.95.5"}}
    spec = {
        "driver": "gpu.nvidia.com",
        "nodeName": name,
        "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": f"gpu-{number}", "attributes": attributes} for number in range(8)],
    }
    offer = make_object("resource.k8s.io/v1 ResourceSlice", name, spec=spec)
    return steps(node(name, gpus=0, labels={"nvidia.com/gpu.present": "true"}), applied(offer))


SELECTORS = [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]
CLASS = make_object("resource.k8s.io/v1 DeviceClass", "gpu.nvidia.com", spec={"selectors": SELECTORS})
NO_DEVICE_PLUGIN = gpu.operand("nvidia-device-plugin-daemonset", ready=0, desired=0)
AUTOSCALER = make_object(
    "ConfigMap", "cluster-autoscaler-status", "kube-system", data={"status": "autoscalerStatus: Running"}
)
OPERATOR_GONE = deleted(make_object("Pod", POD, "gpu-operator"))
MANAGED = node("managed", labels={"cloud.google.com/gke-accelerator": "nvidia-h200-141gb"})
NO_NODES = deleted(*map(clusters.node, clusters.GPU_NODES))
NO_GPUS = steps(NO_NODES, node("cpu-1", gpus=0, labels={}))
NOT_JUDGED = dict.fromkeys(
    (
        "gpu.allocatable",
        "gpu.nodes-ready",
        "gpu.homogeneous",
        "driver.cuda-matrix",
        "rdma.gpudirect",
        "rdma.resources",
    ),
    "skip",
)
AMPERE = {"gpu__product": "NVIDIA-A100-SXM4-80GB", "gpu__compute__major": "8"}
TOOLKIT = "nvidia-container-toolkit-daemonset"
MIXED = [slices(name, "56") for name in clusters.GPU_NODES]
UNEVEN = {"gpu.homogeneous": "warn"}

SITUATIONS = [
    Situation(
        "broken device plugin",
        node(allocatable={"nvidia.com/gpu": "0"}),
        {"gpu.allocatable": "fail"},
        "gpu-2",
    ),
    Situation("sick GPU", node(allocatable={"nvidia.com/gpu": "7"}), {"gpu.allocatable": "warn"}, "gpu-2"),
    Situation("GPU node not ready", node(ready=False), {"gpu.nodes-ready": "fail"}, "gpu-2"),
    Situation("GPU node cordoned", cordoned, {"gpu.nodes-ready": "warn"}, "gpu-2"),
    Situation(
        "a taint that recipes do not tolerate",
        node(taints=[USUAL, TAINT]),
        {"gpu.nodes-ready": "warn"},
        says="dedicated=training:NoSchedule",
    ),
    Situation("the usual taint", node(taints=[USUAL])),
    Situation("operator not ready", operator_not_ready, {"gpu.operator": "fail"}, POD),
    Situation("operator gone", OPERATOR_GONE, {"gpu.operator": "warn"}, "gpu-operator"),
    Situation(
        "operands that their namespace rejects",
        enforced("baseline", pods=0),
        {"gpu.operands": "fail"},
        "gpu-operator",
        "Pod Security level baseline",
    ),
    Situation("operands that their namespace admits", enforced("privileged", pods=len(clusters.GPU_NODES))),
    Situation(
        "policy not ready",
        applied(
            gpu.cluster_policy("notReady", "ClusterPolicy is not ready, states not ready: [state-driver]")
        ),
        {"gpu.operator": "fail"},
        "cluster-policy",
        "state-driver",
    ),
    Situation("no policy", deleted(gpu.cluster_policy()), {"gpu.operator": "warn"}),
    Situation(
        "toolkit not ready",
        applied(gpu.operand(TOOLKIT, ready=2)),
        {"gpu.operands": "fail"},
        TOOLKIT,
        "2 of 3 nodes",
    ),
    Situation(
        "driver in the node's image", applied(gpu.operand("nvidia-driver-daemonset", ready=0, desired=0))
    ),
    Situation("no GPU anywhere", NO_GPUS, NOT_JUDGED | {"gpu.nodes-present": "fail"}, says="none of 1 nodes"),
    Situation(
        "GPU nodes scaled to zero, where a ConfigMap alone shows the autoscaler of GKE or AKS",
        steps(NO_GPUS, applied(AUTOSCALER)),
        NOT_JUDGED | {"gpu.nodes-present": "warn"},
        says="Cluster Autoscaler (kube-system)",
    ),
    Situation(
        "a node that Karpenter removes",
        node(taints=[REMOVED]),
        {"gpu.nodes-ready": "warn"},
        "gpu-2",
        "Karpenter",
    ),
    Situation(
        "a node of AKS without a device plugin",
        node("aks-1", gpus=0, labels={"kubernetes.azure.com/accelerator": "nvidia"}),
        {"gpu.allocatable": "fail"},
        "aks-1",
    ),
    Situation(
        "managed GPUs without an operator",
        steps(
            OPERATOR_GONE, deleted(gpu.cluster_policy(), *map(gpu.operand, gpu.OPERANDS)), NO_NODES, MANAGED
        ),
        {
            **dict.fromkeys(("gpu.operator", "gpu.operands", "gpu.homogeneous"), "skip"),
            **dict.fromkeys(("monitoring.dcgm-exporter", "rdma.gpudirect", "rdma.resources"), "skip"),
            "driver.cuda-matrix": "skip",  # GKE installs it
        },
    ),
    Situation("one node of another GPU", relabel(**AMPERE), UNEVEN, "gpu-2"),
    Situation("one node of fewer GPUs", relabel(gpu__count="4"), UNEVEN, "gpu-2"),
    Situation("one node of another driver", relabel(cuda__driver_version__full="580.82.07"), UNEVEN, "gpu-2"),
    Situation("MIG in mixed strategy", steps(*MIXED), {"gpu.mig": "pass"}),
    Situation(
        "fewer MIG slices than labelled", steps(*MIXED, slices("gpu-2", "28")), {"gpu.mig": "warn"}, "gpu-2"
    ),
    *(
        Situation(
            f"MIG layout {state}",
            relabel(mig__config="all-1g.18gb", mig__config__state=state),
            {"gpu.mig": outcome},
            "gpu-2",
        )
        for state, outcome in (("failed", "fail"), ("pending", "warn"))
    ),
    Situation(
        "a node that slices its GPUs by time",
        relabel(gpu__sharing_strategy="time-slicing", gpu__replicas="4"),
        {"gpu.sharing": "warn"},
        "gpu-2",
        "time-slicing",
    ),
    Situation(
        "GPUs by claim",
        steps(applied(CLASS, NO_DEVICE_PLUGIN), *map(described, clusters.GPU_NODES)),
        {"gpu.allocatable": "skip", "gpu.dra": "pass"},
    ),
    Situation("a DeviceClass without devices", applied(CLASS), {"gpu.dra": "warn"}, "gpu.nvidia.com"),
    *with_recipe(
        "recipes/qwen3-32b-fp8/trtllm/agg",
        Situation("FP8 on Ampere", everywhere(**AMPERE), {"gpu.architecture": "fail"}, says="8.9"),
    ),
]
