"""Situations of the checks of GPU nodes and the GPU Operator."""

from typing import Any

from tests import clusters
from tests.clusters import gpu
from tests.clusters.objects import make_namespace, make_object
from tests.controlplane.api import Object
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


def described(name: str, *, numa_nodes: int = 2, **fields: Any) -> Change:
    """A node whose GPUs are described by the DRA driver, which took the place of the device plugin."""
    attributes = {"productName": {"string": "NVIDIA H200"}, "driverVersion": {"version": "580.95.5"}}
    devices = [
        {
            "name": f"gpu-{n}",
            "attributes": {**attributes, "numa": {"int": n * numa_nodes // 8}},
            "capacity": {"memory": {"value": "143771Mi"}},
        }
        for n in range(8)
    ]
    spec = {
        "driver": "gpu.nvidia.com",
        "nodeName": name,
        "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
        "devices": devices,
    }
    offer = make_object("resource.k8s.io/v1 ResourceSlice", name, spec=spec)
    labels = {"nvidia.com/gpu.present": "true"}
    return steps(node(name, gpus=0, labels=labels, **fields), applied(offer))


def claimed(node_name: str, count: int) -> Change:
    """A claim of somebody else's holds the first devices of a node."""
    requests = [{"name": "gpus", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": count}}]
    results = [
        {"request": "gpus", "driver": "gpu.nvidia.com", "pool": node_name, "device": f"gpu-{n}"}
        for n in range(count)
    ]
    claim = make_object(
        "resource.k8s.io/v1 ResourceClaim",
        f"training-{node_name}",
        "default",
        spec={"devices": {"requests": requests}},
        status={"allocation": {"devices": {"results": results}}},
    )
    return applied(claim)


def gpu_cluster(state: str = "ready") -> Object:
    """The resource of a GPU Operator that installs the DRA driver."""
    return make_object(
        "nvidia.com/v1alpha1 GPUCluster", "gpu-cluster", spec={"draDriver": {}}, status={"state": state}
    )


def by_claim(**fields: Any) -> Change:
    """Every node offers its GPUs through DRA."""
    return steps(
        applied(CLASS, NO_DEVICE_PLUGIN), *(described(name, **fields) for name in clusters.GPU_NODES)
    )


def terminating(name: str, namespace: str) -> Change:
    """A pod that is deleted, and whose kubelet has not ended it yet."""
    return lambda cluster: cluster.kubectl("delete", "pod", "--wait=false", "-n", namespace, name)


def two_nodes(gpus: int = 8, **labels: str) -> Change:
    """Two GPU nodes, the second with so many GPUs and these labels."""
    prefixed = {f"nvidia.com/{key.replace('__', '.').replace('_', '-')}": v for key, v in labels.items()}
    second = {**clusters.GPU_LABELS, "nvidia.com/gpu.count": str(gpus), **prefixed}
    return steps(deleted(clusters.node("gpu-3")), node("gpu-2", gpus=gpus, labels=second))


def with_kubelet(version: str) -> Change:
    return node(nodeInfo={"kubeletVersion": version})


def opted_out(label: str = "") -> Change:
    """A node with GPUs of its own use, which offers none; with a label it opts out of an operand."""
    labels = {**clusters.GPU_LABELS, **({f"nvidia.com/gpu.deploy.{label}": "false"} if label else {})}
    return node("training-1", gpus=0, labels=labels)


SELECTORS = [{"cel": {"expression": "device.driver == 'gpu.nvidia.com'"}}]
CLASS = make_object("resource.k8s.io/v1 DeviceClass", "gpu.nvidia.com", spec={"selectors": SELECTORS})
CLAIMED = {"gpu.allocatable": "skip", "gpu.dra": "pass", "capacity.fits": "pass"}
EMPTY = make_object(
    "resource.k8s.io/v1 ResourceSlice",
    "cpu-1",
    spec={
        "driver": "gpu.nvidia.com",
        "nodeName": "cpu-1",
        "pool": {"name": "cpu-1", "generation": 1, "resourceSliceCount": 1},
        "devices": [],
    },
)
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
CLIENTS = ("nvidia.com/gpu.deploy.device-plugin", "nvidia.com/gpu.deploy.dcgm-exporter")
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
    Situation(
        "a GPUCluster in place of the policy", steps(deleted(gpu.cluster_policy()), applied(gpu_cluster()))
    ),
    Situation("a GPUCluster beside the policy", applied(gpu_cluster())),
    Situation(
        "a GPUCluster that is not ready",
        steps(deleted(gpu.cluster_policy()), applied(gpu_cluster("notReady"))),
        {"gpu.operator": "fail"},
        "gpu-cluster",
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
        by_claim(),
        {"gpu.allocatable": "skip", "gpu.dra": "pass"},
    ),
    Situation("a DeviceClass without devices", applied(CLASS), {"gpu.dra": "warn"}, "gpu.nvidia.com"),
    *(
        Situation(f"a node that opts out of {label}", opted_out(label))
        for label in ("operands", "device-plugin")
    ),
    Situation(
        "a node without GPUs to allocate that does not opt out",
        opted_out(),
        {"gpu.allocatable": "fail", "rdma.resources": "warn"},
        "training-1",
    ),
    # https://github.com/NVIDIA/aicr/issues/1858
    Situation("seven GPUs beside eight", two_nodes(7), UNEVEN, "gpu-2", "7"),
    Situation(
        "two drivers on two nodes",
        two_nodes(cuda__driver_version__full="580.82.07"),
        UNEVEN,
        says="580.82.07",
    ),
    Situation("two equal nodes", two_nodes()),
    # https://github.com/NVIDIA/k8s-device-plugin/issues/1682
    Situation(
        "a MIG layout without its slices",
        relabel(mig__config="all-1g.18gb", mig__strategy="single"),
        {"gpu.mig": "warn"},
        "gpu-2",
        "all-1g.18gb",
    ),
    # https://github.com/NVIDIA/gpu-operator/issues/2670
    Situation(
        "MIG layouts that nodes came with, and no slices",
        everywhere(mig__config="all-1g.10gb"),
        {"gpu.mig": "warn"},
        "gpu-1",
        "all-1g.10gb",
    ),
    # https://github.com/NVIDIA/gpu-operator/issues/2833
    Situation(
        "MIG manager gave up, and left its clients paused",
        node(
            allocatable={"nvidia.com/gpu": "0"},
            labels={
                **clusters.GPU_LABELS,
                **dict.fromkeys(CLIENTS, "paused-for-mig-change"),
                "nvidia.com/mig.config": "all-1g.18gb",
                "nvidia.com/mig.config.state": "pending",
            },
        ),
        {"gpu.mig": "warn", "gpu.allocatable": "fail"},
        "gpu-2",
        "paused",
    ),
    # https://github.com/NVIDIA/gpu-operator/issues/1982
    Situation(
        "no operand ready but node feature discovery",
        steps(
            applied(*(gpu.operand(name, ready=0) for name in gpu.OPERANDS if "driver" not in name)),
            *(node(name, allocatable={"nvidia.com/gpu": "0"}) for name in clusters.GPU_NODES),
        ),
        {"gpu.operands": "fail", "gpu.allocatable": "fail", "monitoring.dcgm-exporter": "warn"},
        TOOLKIT,
        "0 of 3 nodes",
    ),
    Situation("an old kubelet", with_kubelet("v1.30.4"), {"gpu.nodes-ready": "warn"}, "gpu-2", "v1.30.4"),
    Situation("a kubelet that may be this old", with_kubelet("v1.34.1")),
    Situation(
        "an operator pod that ends",
        terminating(POD, "gpu-operator"),
        {"gpu.operator": "fail"},
        POD,
        "Terminating",
    ),
    # https://github.com/kubernetes-sigs/dra-driver-nvidia-gpu/issues/1008
    Situation(
        "a DRA driver that offers nothing",
        steps(
            NO_GPUS,
            OPERATOR_GONE,
            deleted(gpu.cluster_policy(), *map(gpu.operand, gpu.OPERANDS)),
            applied(CLASS, EMPTY),
        ),
        NOT_JUDGED
        | {"gpu.nodes-present": "fail", "gpu.dra": "warn"}
        | dict.fromkeys(("gpu.operator", "gpu.operands", "monitoring.dcgm-exporter"), "skip"),
        "gpu.nvidia.com",
    ),
    *with_recipe(
        "tests/recipes/claims",
        Situation("GPUs for claims", by_claim(), CLAIMED),
        Situation(
            "GPUs of one NUMA node are too few",
            by_claim(numa_nodes=4),
            CLAIMED | {"capacity.fits": "fail"},
            says="no allowed node has free devices that meet its claims",
        ),
        Situation(
            "GPUs that other claims hold",
            steps(by_claim(), *(claimed(name, 5) for name in clusters.GPU_NODES)),
            CLAIMED | {"capacity.fits": "fail"},
        ),
        Situation(
            "GPUs for claims behind a taint",
            by_claim(taints=[TAINT]),
            CLAIMED | {"capacity.fits": "fail", "gpu.nodes-ready": "warn"},
        ),
    ),
    *with_recipe(
        "recipes/qwen3-32b-fp8/trtllm/agg",
        Situation("FP8 on Ampere", everywhere(**AMPERE), {"gpu.architecture": "fail"}, says="8.9"),
    ),
]
