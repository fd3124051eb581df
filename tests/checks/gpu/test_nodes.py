from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gpu import nodes as gpu
from dynocheck.facts import (
    ApiServer,
    Autoscalers,
    Condition,
    GpuNode,
    Node,
    Nodes,
    ResourceSlices,
    Taint,
    Workload,
    Workloads,
)
from tests.checks.gpu import CPU, NO_SLICES, PRESENT, holding, offer, recipe_of
from tests.checks.judging import outcomes, places, run_check

NO_SCALERS = Autoscalers()
SERVER = ApiServer("https://example", "v1.36.3")
READY = (Condition("Ready", "True"),)


def gpus(name: str, count: str = "8", *, healthy: str | None = None, **more: Any) -> Node:
    return holding(name, {"nvidia.com/gpu": count}, allocatable={"nvidia.com/gpu": healthy or count}, **more)


OPTED_OUT = [
    {**PRESENT, f"nvidia.com/gpu.deploy.{operand}": "false"} for operand in ("operands", "device-plugin")
]
VFIO = {**PRESENT, "nvidia.com/gpu.workload.config": "vm-passthrough"}
UNREADABLE = Autoscalers(unseen="configmaps is forbidden (403)")


@pytest.mark.parametrize(
    ("nodes", "slices", "scalers", "expected"),
    [
        # GPUs are seen by label, amount or slice
        ([CPU, Node("a", labels=PRESENT)], NO_SLICES, NO_SCALERS, []),
        ([CPU, gpus("a")], NO_SLICES, NO_SCALERS, []),
        ([CPU, Node("a", allocatable={"nvidia.com/mig-1g.10gb": "7"})], NO_SLICES, NO_SCALERS, []),
        ([CPU, Node("a")], offer("a"), NO_SCALERS, []),
        ([CPU, Node("a")], ResourceSlices(), NO_SCALERS, ["fail"]),
        ([CPU, Node("a")], offer("a", driver="nic.example"), NO_SCALERS, ["fail"]),
        ([CPU, Node("a", labels={"nvidia.com/gpu.present": "false"})], NO_SLICES, NO_SCALERS, ["fail"]),
        ([CPU, Node("a", labels=VFIO)], NO_SLICES, NO_SCALERS, ["fail"]),
        ([], NO_SLICES, NO_SCALERS, ["fail"]),
        ([CPU], NO_SLICES, Autoscalers(("Karpenter",)), ["warn"]),  # which may add some
        ([CPU], NO_SLICES, UNREADABLE, ["unknown"]),
        ([gpus("a")], NO_SLICES, UNREADABLE, []),
    ],
)
def test_nodes_present(
    nodes: list[Node], slices: ResourceSlices, scalers: Autoscalers, expected: list[str]
) -> None:
    assert outcomes(gpu.nodes_present, Nodes(tuple(nodes)), slices, scalers) == expected


GPU_TAINT = Taint("nvidia.com/gpu", "NoSchedule", "true")
CONTROL_PLANE = Taint("node-role.kubernetes.io/control-plane", "NoSchedule")
SEEN = {"feature.node.kubernetes.io/cpu-model.family": "6"}


@pytest.mark.parametrize(
    ("node", "role", "toleration", "told"),
    [
        (Node("a", taints=(GPU_TAINT,)), "worker", {"operator": "Equal", "value": "present"}, True),
        (Node("a", taints=(GPU_TAINT,)), "worker", {"operator": "Exists"}, False),
        (Node("a", taints=(GPU_TAINT,)), "master", {"operator": "Equal", "value": "present"}, False),
        (Node("a", taints=(GPU_TAINT,), labels=SEEN), "worker", {"value": "present"}, False),
        (Node("a", taints=(CONTROL_PLANE,)), "worker", {"operator": "Exists"}, False),
    ],
)
def test_a_taint_keeps_node_feature_discovery_away(
    node: Node, role: str, toleration: dict[str, str], told: bool
) -> None:
    labels = {"app.kubernetes.io/name": "node-feature-discovery", "role": role}
    tolerations = ({"key": "nvidia.com/gpu", **toleration},)
    worker = Workload(
        kind="DaemonSet", namespace="nfd", name="nfd-worker", pod_labels=labels, tolerations=tolerations
    )
    nodes, workloads = Nodes((CPU, node)), Workloads((worker,))
    (finding,) = run_check(gpu.nodes_present, nodes, NO_SLICES, NO_SCALERS, workloads)
    assert (str(finding.subject) == "DaemonSet nfd/nfd-worker") is told


@pytest.mark.parametrize("labels", OPTED_OUT)
def test_a_node_may_opt_out_of_the_operator(labels: dict[str, str]) -> None:
    bare, left = Node("a", labels=labels), gpus("b", "8", healthy="0", labels=labels)
    assert outcomes(gpu.nodes_present, Nodes((bare,)), NO_SLICES, NO_SCALERS) == ["fail"]
    assert outcomes(gpu.allocatable, Nodes((gpus("good"), bare, left)), NO_SLICES) == []
    served = gpus("c", labels=labels)  # by a device plugin of another
    assert outcomes(gpu.nodes_present, Nodes((served,)), NO_SLICES, NO_SCALERS) == []


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("cloud.google.com/gke-accelerator", "nvidia-h200-141gb"),
        ("eks.amazonaws.com/instance-gpu-manufacturer", "nvidia"),
        ("karpenter.k8s.aws/instance-gpu-manufacturer", "nvidia"),
        ("kubernetes.azure.com/accelerator", "nvidia"),
    ],
)
def test_clouds_label_machines_with_gpus(label: str, value: str) -> None:
    bare, other = Node("bare", labels={label: value}), Node("other", labels={label: "amd"})
    nodes = Nodes((gpus("good"), bare, other, CPU))
    assert places(gpu.allocatable, nodes, NO_SLICES) == [("fail", "Node bare")]
    assert outcomes(gpu.nodes_present, Nodes((bare,)), NO_SLICES, NO_SCALERS) == []


# allocatable

MIG_LEFT = {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "56"}
SLICED = holding("a", {**MIG_LEFT, "nvidia.com/gpu": "8"}, labels=PRESENT, allocatable=MIG_LEFT)


@pytest.mark.parametrize(
    ("nodes", "slices", "expected"),
    [
        ([gpus("good", labels=PRESENT), Node("bad", labels=PRESENT), CPU], NO_SLICES, [("fail", "Node bad")]),
        ([SLICED], NO_SLICES, []),  # what was there before its MIG slices does not count
        ([Node("a", labels=PRESENT)], offer("a"), [("skip", "")]),  # the DRA driver needs no device plugin
    ],
)
def test_allocatable(nodes: list[Node], slices: ResourceSlices, expected: list[tuple[str, str]]) -> None:
    assert places(gpu.allocatable, Nodes(tuple(nodes)), slices) == expected


@pytest.mark.parametrize(("healthy", "outcome"), [("0", "fail"), ("7", "warn")])
def test_a_node_without_a_label_needs_all_allocatable(healthy: str, outcome: str) -> None:
    (finding,) = run_check(gpu.allocatable, Nodes((gpus("a", healthy=healthy),)), NO_SLICES)
    counts = {"allocatable": {"nvidia.com/gpu": int(healthy)}, "capacity": {"nvidia.com/gpu": 8}}
    assert (finding.outcome, finding.evidence) == (outcome, counts)


# nodes-ready

LOST = (Condition("Ready", "Unknown", "Lost", "stopped posting"),)
FULL = (*READY, Condition("DiskPressure", "True", "DiskFull"))


def ready(*taints: Taint, **more: Any) -> Node:
    return Node("a", **{"labels": PRESENT, "conditions": READY, "taints": taints, **more})


def tainted(key: str) -> Node:
    return ready(Taint(key, "NoSchedule"))


OWN_TAINT = Taint("team", "NoExecute", "b")
USUAL, SOFT = Taint("nvidia.com/gpu", "NoSchedule", "present"), Taint("team", "PreferNoSchedule")
CORDON = Taint("node.kubernetes.io/unschedulable", "NoSchedule")


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (ready(conditions=LOST), ["fail"]),
        (ready(conditions=FULL), ["fail"]),
        (ready(conditions=()), ["fail"]),
        (ready(unschedulable=True), ["warn"]),
        (CPU, ["skip"]),
        (ready(USUAL, SOFT, CORDON), []),
        (ready(OWN_TAINT), ["warn"]),
        # no pod should tolerate these
        (tainted("karpenter.sh/disrupted"), ["warn"]),
        (tainted("ToBeDeletedByClusterAutoscaler"), ["warn"]),
        (tainted("ebs.csi.aws.com/agent-not-ready"), ["warn"]),
        (tainted("node.cloudprovider.kubernetes.io/uninitialized"), ["warn"]),
        (ready(kubelet="v1.33.12"), []),
        (ready(kubelet="v1.32.9-eks-113cf36"), ["warn"]),
        (ready(kubelet="banana"), []),
    ],
)
def test_a_gpu_node_accepts_pods(node: Node, expected: list[str]) -> None:
    assert outcomes(gpu.nodes_ready, Nodes((CPU, node)), NO_SLICES, SERVER, None) == expected


@pytest.mark.parametrize(
    "taint", [Taint("sku", "NoSchedule", "gpu"), Taint("kubernetes.io/arch", "NoSchedule", "arm64")]
)
def test_a_taint_of_a_clouds_guide_matters_to_a_recipe(tmp_path: Path, taint: Taint) -> None:
    nodes = Nodes((ready(taint),))
    assert outcomes(gpu.nodes_ready, nodes, NO_SLICES, SERVER, None) == []
    assert outcomes(gpu.nodes_ready, nodes, NO_SLICES, SERVER, recipe_of(tmp_path)) == ["warn"]


def test_a_taint_that_no_pod_should_tolerate_has_another_fix() -> None:
    for key in ("karpenter.sh/disrupted", "ebs.csi.aws.com/agent-not-ready"):
        (finding,) = run_check(gpu.nodes_ready, Nodes((tainted(key),)), NO_SLICES, SERVER, None)
        assert "toleration" not in (finding.fix or "")


@pytest.mark.parametrize(
    ("state", "fix"),
    [
        ("", "kubectl uncordon a"),
        ("upgrade-done", "kubectl uncordon a"),
        ("drain-required", "kubectl get node a -L nvidia.com/gpu-driver-upgrade-state"),
        ("upgrade-failed", "kubectl get node a -L nvidia.com/gpu-driver-upgrade-state"),
    ],
)
def test_a_node_whose_driver_is_upgraded_is_left_to_the_operator(state: str, fix: str) -> None:
    labels = {**PRESENT, "nvidia.com/gpu-driver-upgrade-state": state}
    node = gpus("a", labels=labels, conditions=READY, unschedulable=True)
    (finding,) = run_check(gpu.nodes_ready, Nodes((node,)), NO_SLICES, SERVER, None)
    assert (finding.outcome, finding.fix) == ("warn", fix)


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "team", "operator": "Exists"}, []),
        ({"key": "team", "value": "b", "effect": "NoExecute"}, []),
        ({"operator": "Exists"}, []),
        ({"key": "team", "value": "c"}, ["warn"]),
        ({"key": "team", "value": "b", "effect": "NoSchedule"}, ["warn"]),
    ],
)
def test_tolerated_taints(tmp_path: Path, toleration: dict[str, str], expected: list[str]) -> None:
    recipe = recipe_of(tmp_path, pod={"tolerations": [toleration]})
    assert outcomes(gpu.nodes_ready, Nodes((ready(OWN_TAINT),)), NO_SLICES, SERVER, recipe) == expected


# homogeneous


def labelled(name: str, product: str = "NVIDIA-H200", **labels: str) -> Node:
    instance = {"node.kubernetes.io/instance-type": labels.pop("instance")} if "instance" in labels else {}
    more = {f"nvidia.com/{key.replace('__', '.').replace('_', '-')}": value for key, value in labels.items()}
    return gpus(name, labels={**PRESENT, "nvidia.com/gpu.product": product, **more, **instance})


A, B = labelled("a"), labelled("b")
NEW, OLD = {"cuda__driver_version__full": "580.95.05"}, {"cuda__driver_version__full": "570.86.15"}
NINE = {"cuda__driver_version__full": "99.15.05"}
SMALL, LARGE = ({"instance": size} for size in ("small", "large"))
ALIKE = [labelled(name, gpu__memory=m) for name, m in [("a", "143771"), ("b", "143771"), ("c", "143156")]]
SPLIT = labelled("c", "NVIDIA-H200-MIG-1g.18gb", gpu__count="56", gpu__memory="18000")


@pytest.mark.parametrize(
    ("nodes", "odd"),
    [
        ([A, B, labelled("c", "NVIDIA-A100-SXM4-80GB")], ["c"]),
        ([A, B, labelled("c", "NVIDIA-L40S"), labelled("d", "NVIDIA-L40S")], []),  # two pools
        ([A, labelled("c", "NVIDIA-L40S")], []),  # neither is the majority
        ([labelled("a", **NEW), labelled("b", **NEW), labelled("c", **OLD), B], ["c"]),
        (ALIKE, []),  # drivers reserve different amounts
        ([*ALIKE, labelled("d", gpu__memory="97871")], ["d"]),
        ([A, B, labelled("c", gpu__count="4")], ["c"]),
        ([labelled("a", gpu__count="7"), B], ["a"]),  # fewer than its twin
        ([labelled("a", gpu__count="7"), labelled("b", gpu__count="7"), labelled("c")], ["a", "b"]),
        ([labelled("a", gpu__count="4", **SMALL), labelled("b", gpu__count="8", **LARGE)], []),
        ([labelled("a", **NEW), labelled("b", **OLD)], ["b"]),  # no majority
        ([labelled("a", **NINE), labelled("b", **NEW)], ["a"]),
        ([A, B, SPLIT], []),  # another MIG layout
    ],
)
def test_the_odd_one_out(nodes: list[Node], odd: list[str]) -> None:
    found = places(gpu.homogeneous, Nodes(tuple(nodes)), NO_SLICES)
    assert found == [("warn", f"Node {name}") for name in odd]


def test_one_gpu_node_is_compared_with_none() -> None:
    assert outcomes(gpu.homogeneous, Nodes((A, CPU)), NO_SLICES) == ["skip"]


# labels of a GPU node


@pytest.mark.parametrize(
    ("labels", "version", "branch"),
    [
        ({"cuda.driver-version.full": "580.95.05"}, "580.95.05", 580),
        ({"cuda.driver.major": "455", "cuda.driver.minor": "06", "cuda.driver.rev": ""}, "455.06", 455),
        ({"cuda.driver-version.major": "570", "cuda.driver-version.revision": "1"}, "570.1", 570),
        ({}, "", None),
    ],
)
def test_either_spelling_of_the_driver(labels: dict[str, str], version: str, branch: int | None) -> None:
    node = GpuNode(Node("a", labels={f"nvidia.com/{key}": value for key, value in labels.items()}))
    assert (node.driver, node.driver_branch) == (version, branch)


@pytest.mark.parametrize(
    ("label", "product"),
    [
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-80GB-HBM3"),
        ("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "NVIDIA-H100-80GB-HBM3"),
        ("NVIDIA-A100-SXM4-40GB-MIG-INVALID", "NVIDIA-A100-SXM4-40GB"),
        ("NVIDIA-L40S-SHARED", "NVIDIA-L40S"),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb.me-SHARED", "NVIDIA-A100-SXM4-40GB"),
    ],
)
def test_a_product_is_the_whole_gpu(label: str, product: str) -> None:
    assert GpuNode(Node("a", labels={"nvidia.com/gpu.product": label})).product == product
