from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.gpu import nodes as gpu
from dynocheck.facts import Autoscalers, Condition, GpuNode, Node, Nodes, ResourceSlice, ResourceSlices, Taint
from tests.checks.judging import get_skip_reason, outcomes, places, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph

PRESENT = {"nvidia.com/gpu.present": "true"}
NO_SLICES = ResourceSlices(served=False)
NO_SCALERS = Autoscalers()
CPU = Node("cpu")
READY = (Condition("Ready", "True"),)


def gpus(name: str, count: str = "8", *, healthy: str | None = None, **more: Any) -> Node:
    return Node(
        name, capacity={"nvidia.com/gpu": count}, allocatable={"nvidia.com/gpu": healthy or count}, **more
    )


def offered(node: str, driver: str = "gpu.nvidia.com", devices: int = 8) -> ResourceSlices:
    return ResourceSlices((ResourceSlice("s", driver, node, devices),))


@pytest.mark.parametrize(
    ("node", "slices", "expected"),
    [
        (Node("a", labels=PRESENT), NO_SLICES, []),
        (gpus("a"), NO_SLICES, []),
        (Node("a", allocatable={"nvidia.com/mig-1g.10gb": "7"}), NO_SLICES, []),
        (Node("a"), offered("a"), []),
        (Node("a"), ResourceSlices(), ["fail"]),
        (Node("a"), offered("a", driver="nic.example"), ["fail"]),
        (Node("a", labels={"nvidia.com/gpu.present": "false"}), NO_SLICES, ["fail"]),
        (
            Node("a", labels={**PRESENT, "nvidia.com/gpu.workload.config": "vm-passthrough"}),
            NO_SLICES,
            ["fail"],
        ),
    ],
)
def test_gpus_are_seen_by_label_amount_or_slice(
    node: Node, slices: ResourceSlices, expected: list[str]
) -> None:
    assert outcomes(gpu.nodes_present, Nodes((CPU, node)), slices, NO_SCALERS) == expected


def test_a_cluster_without_nodes_has_no_gpus() -> None:
    assert outcomes(gpu.nodes_present, Nodes(()), NO_SLICES, NO_SCALERS) == ["fail"]


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


def test_autoscalers_may_add_gpu_nodes() -> None:
    scalers = Autoscalers(("Karpenter",))
    (finding,) = run_check(gpu.nodes_present, Nodes((CPU,)), NO_SLICES, scalers)
    assert finding.outcome == "warn"
    assert "Karpenter" in finding.message


def test_autoscalers_that_cannot_be_read() -> None:
    unreadable = Autoscalers(unseen="configmaps is forbidden (403)")
    (finding,) = run_check(gpu.nodes_present, Nodes((CPU,)), NO_SLICES, unreadable)
    assert finding.outcome == "unknown"
    assert unreadable.unseen in finding.message
    assert outcomes(gpu.nodes_present, Nodes((gpus("a"),)), NO_SLICES, unreadable) == []


# allocatable


def test_a_labelled_node_needs_allocatable_gpus() -> None:
    nodes = Nodes((gpus("good", labels=PRESENT), Node("bad", labels=PRESENT), CPU))
    assert places(gpu.allocatable, nodes, NO_SLICES) == [("fail", "Node bad")]


def test_none_allocatable_fails_without_a_label_too() -> None:
    (finding,) = run_check(gpu.allocatable, Nodes((gpus("bad", healthy="0"),)), NO_SLICES)
    assert finding.evidence == {"allocatable": {"nvidia.com/gpu": 0}, "capacity": {"nvidia.com/gpu": 8}}


def test_some_allocatable_is_a_warning() -> None:
    (finding,) = run_check(gpu.allocatable, Nodes((gpus("a", healthy="7"),)), NO_SLICES)
    assert finding.outcome == "warn"
    assert finding.evidence == {"allocatable": {"nvidia.com/gpu": 7}, "capacity": {"nvidia.com/gpu": 8}}


def test_gpus_of_the_dra_driver_need_no_device_plugin() -> None:
    nodes = Nodes((Node("a", labels=PRESENT),))
    assert get_skip_reason(gpu.allocatable, nodes, offered("a")) == "GPUs are offered through DRA"


def test_mig_slices_count_and_what_was_there_before_them_does_not() -> None:
    left_behind = {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "56"}
    node = Node("a", labels=PRESENT, capacity={**left_behind, "nvidia.com/gpu": "8"}, allocatable=left_behind)
    assert outcomes(gpu.allocatable, Nodes((node,)), NO_SLICES) == []


# nodes-ready


@pytest.mark.parametrize(
    ("node", "outcome", "reason"),
    [
        (
            Node("a", labels=PRESENT, conditions=(Condition("Ready", "Unknown", "Lost", "stopped posting"),)),
            "fail",
            "stopped posting",
        ),
        (
            Node("a", labels=PRESENT, conditions=(*READY, Condition("DiskPressure", "True", "DiskFull"))),
            "fail",
            "DiskPressure: DiskFull",
        ),
        (Node("a", labels=PRESENT), "fail", ""),
        (Node("a", labels=PRESENT, conditions=READY, unschedulable=True), "warn", "cordoned"),
    ],
)
def test_a_node_that_accepts_no_pods(node: Node, outcome: str, reason: str) -> None:
    (finding,) = run_check(gpu.nodes_ready, Nodes((CPU, node)), NO_SLICES, None)
    assert finding.outcome == outcome
    assert reason in finding.message


def test_only_gpu_nodes_must_be_ready() -> None:
    assert get_skip_reason(gpu.nodes_ready, Nodes((CPU,)), NO_SLICES, None)


def tainted(*taints: Taint) -> Nodes:
    return Nodes((Node("a", labels=PRESENT, conditions=READY, taints=taints),))


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
    (finding,) = run_check(gpu.nodes_ready, Nodes((node,)), NO_SLICES, None)
    assert (str(finding.outcome), finding.fix) == ("warn", fix)
    assert state in finding.message or fix.startswith("kubectl uncordon")


@pytest.mark.parametrize(
    ("key", "who"),
    [
        ("karpenter.sh/disrupted", "by Karpenter"),
        ("ToBeDeletedByClusterAutoscaler", "by the Cluster Autoscaler"),
        ("ebs.csi.aws.com/agent-not-ready", "agent"),
        ("node.cloudprovider.kubernetes.io/uninitialized", "agent"),
    ],
)
def test_taints_that_no_pod_should_tolerate(key: str, who: str) -> None:
    (finding,) = run_check(gpu.nodes_ready, tainted(Taint(key, "NoSchedule")), NO_SLICES, None)
    assert finding.outcome == "warn"
    assert who in finding.message
    assert "toleration" not in (finding.fix or "")


OWN_TAINT = Taint("team", "NoExecute", "b")


def test_taints_without_a_recipe() -> None:
    usual, soft = Taint("nvidia.com/gpu", "NoSchedule", "present"), Taint("team", "PreferNoSchedule")
    cordon = Taint("node.kubernetes.io/unschedulable", "NoSchedule")
    assert outcomes(gpu.nodes_ready, tainted(usual, soft, cordon), NO_SLICES, None) == []
    assert places(gpu.nodes_ready, tainted(OWN_TAINT), NO_SLICES, None) == [("warn", "Node a")]


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
def test_taints_that_a_worker_tolerates(
    tmp_path: Path, toleration: dict[str, str], expected: list[str]
) -> None:
    recipe = recipes(tmp_path, deploy=dump_objects(graph(engine(pod={"tolerations": [toleration]}))))
    assert outcomes(gpu.nodes_ready, tainted(OWN_TAINT), NO_SLICES, recipe) == expected


# homogeneous


def labelled(name: str, product: str = "NVIDIA-H200", **labels: str) -> Node:
    more = {f"nvidia.com/{key.replace('__', '.').replace('_', '-')}": value for key, value in labels.items()}
    return gpus(name, labels={**PRESENT, "nvidia.com/gpu.product": product, **more})


A, B = labelled("a"), labelled("b")
NEW, OLD = {"cuda__driver_version__full": "580.95.05"}, {"cuda__driver_version__full": "570.86.15"}
ALIKE = [labelled(name, gpu__memory=m) for name, m in [("a", "143771"), ("b", "143771"), ("c", "143156")]]


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
        # another MIG layout
        ([A, B, labelled("c", "NVIDIA-H200-MIG-1g.18gb", gpu__count="56", gpu__memory="18000")], []),
    ],
)
def test_the_odd_one_out(nodes: list[Node], odd: list[str]) -> None:
    found = places(gpu.homogeneous, Nodes(tuple(nodes)), NO_SLICES)
    assert found == [("warn", f"Node {name}") for name in odd]


def test_one_gpu_node_is_compared_with_none() -> None:
    assert get_skip_reason(gpu.homogeneous, Nodes((A, CPU)), NO_SLICES)


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
def test_the_driver_is_read_in_either_spelling(
    labels: dict[str, str], version: str, branch: int | None
) -> None:
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
