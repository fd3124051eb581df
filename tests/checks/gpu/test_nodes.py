from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.gpu import nodes as gpu
from dynocheck.checks.gpu import operator
from dynocheck.facts import Condition, Node, Nodes, OperatorPods, Pod, ResourceSlice, ResourceSlices, Taint
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.facts.k8s.gpu import GpuNode, OperatorResource, OperatorResources
from dynocheck.facts.k8s.workloads import Workload, Workloads
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, run_check, worker

PRESENT = {"nvidia.com/gpu.present": "true"}
DEPLOYED = {**PRESENT, "nvidia.com/gpu.deploy.driver": "true"}
NO_SLICES = ResourceSlices(served=False)
NO_SCALERS = Autoscalers()
CPU = Node("cpu")
POLICY = OperatorResources((OperatorResource("ClusterPolicy", "cluster-policy", "ready"),))
NO_POLICY = OperatorResources()
READY = (Condition("Ready", "True"),)


def gpus(name: str, count: str = "8", *, healthy: str | None = None, **more: dict[str, str]) -> Node:
    amount = {"nvidia.com/gpu": count}
    return Node(name, capacity=amount, allocatable={"nvidia.com/gpu": healthy or count}, **more)  # type: ignore[arg-type]


def offered(node: str, driver: str = "gpu.nvidia.com", devices: int = 8) -> ResourceSlices:
    return ResourceSlices((ResourceSlice("s", driver, node, devices),))


def test_gpus_are_seen_by_label_by_amount_and_by_slice() -> None:
    for nodes, slices in [
        (Nodes((CPU, Node("a", labels=PRESENT))), NO_SLICES),
        (Nodes((CPU, gpus("a"))), NO_SLICES),
        (Nodes((CPU, Node("a", allocatable={"nvidia.com/mig-1g.10gb": "7"}))), NO_SLICES),
        (Nodes((CPU, Node("a"))), offered("a")),
    ]:
        assert list_messages(gpu.nodes_present, nodes, slices, NO_SCALERS) == []


def test_no_gpus() -> None:
    for nodes, slices in [
        (Nodes(()), NO_SLICES),
        (Nodes((CPU,)), ResourceSlices()),
        (Nodes((CPU,)), offered("cpu", driver="nic.example")),
        (Nodes((Node("a", labels={"nvidia.com/gpu.present": "false"}),)), NO_SLICES),
        (
            Nodes((Node("a", labels={**PRESENT, "nvidia.com/gpu.workload.config": "vm-passthrough"}),)),
            NO_SLICES,
        ),
    ]:
        assert [outcome for outcome, _ in list_messages(gpu.nodes_present, nodes, slices, NO_SCALERS)] == [
            "fail"
        ]


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("cloud.google.com/gke-accelerator", "nvidia-h200-141gb"),
        ("eks.amazonaws.com/instance-gpu-manufacturer", "nvidia"),
        ("karpenter.k8s.aws/instance-gpu-manufacturer", "nvidia"),
        ("kubernetes.azure.com/accelerator", "nvidia"),
    ],
)
def test_clouds_tell_which_machines_have_gpus(label: str, value: str) -> None:
    bare, other = Node("bare", labels={label: value}), Node("other", labels={label: "amd"})
    nodes = Nodes((gpus("good"), bare, other, CPU))
    (finding,) = run_check(gpu.allocatable, nodes, NO_SLICES)
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("fail", "bare")
    assert list_messages(gpu.nodes_present, Nodes((bare,)), NO_SLICES, NO_SCALERS) == []


def test_gpus_may_come_where_nodes_are_added() -> None:
    (finding,) = run_check(gpu.nodes_present, Nodes((CPU,)), NO_SLICES, Autoscalers(("Karpenter",)))
    assert finding.outcome == "warn"
    assert finding.message.endswith("; Karpenter may add some when a pod asks")
    nobody = OperatorPods()
    assert "Karpenter" in get_skip_reason(
        operator.operator, nobody, NO_POLICY, Nodes((CPU,)), NO_SLICES, Autoscalers(("Karpenter",))
    )
    assert [
        o
        for o, _ in list_messages(operator.operator, nobody, NO_POLICY, Nodes((CPU,)), NO_SLICES, NO_SCALERS)
    ] == ["fail"]


def test_whether_nodes_are_added_may_not_be_seen() -> None:
    blind = Autoscalers(unseen="configmaps is forbidden (403)")
    (finding,) = run_check(gpu.nodes_present, Nodes((CPU,)), NO_SLICES, blind)
    assert finding.outcome == "unknown"
    assert "configmaps is forbidden" in finding.message
    assert list_messages(gpu.nodes_present, Nodes((gpus("a"),)), NO_SLICES, blind) == []


def test_a_labelled_node_needs_something_to_allocate() -> None:
    nodes = Nodes((gpus("good", labels=PRESENT), Node("bad", labels=PRESENT), CPU))
    (finding,) = run_check(gpu.allocatable, nodes, NO_SLICES)
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("fail", "bad")


def test_zero_counts_without_a_label_too() -> None:
    nodes = Nodes((gpus("bad", healthy="0"),))
    (finding,) = run_check(gpu.allocatable, nodes, NO_SLICES)
    assert finding.evidence == {"allocatable": {"nvidia.com/gpu": 0}, "capacity": {"nvidia.com/gpu": 8}}


def test_gpus_of_the_dra_driver_need_no_device_plugin() -> None:
    nodes = Nodes((Node("a", labels=PRESENT),))
    assert get_skip_reason(gpu.allocatable, nodes, offered("a")) == "GPUs are offered through DRA"


def test_mig_slices_count_and_what_was_there_before_them_does_not() -> None:
    left_behind = {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "56"}
    node = Node("a", labels=PRESENT, capacity={**left_behind, "nvidia.com/gpu": "8"}, allocatable=left_behind)
    assert list_messages(gpu.allocatable, Nodes((node,)), NO_SLICES) == []


def test_a_sick_gpu_is_a_warning() -> None:
    assert list_messages(gpu.allocatable, Nodes((gpus("a", healthy="7"),)), NO_SLICES) == [
        ("warn", "7 of 8 nvidia.com/gpu are allocatable: the rest is unhealthy")
    ]


def test_the_operator_is_judged_by_ready() -> None:
    nodes = Nodes((gpus("a", labels=DEPLOYED),))
    good = Pod("gpu-operator", "good", "Running", ready=True)
    bad = Pod("other", "bad", "Running", ready=False, waiting=("CrashLoopBackOff",))
    done = Pod("gpu-operator", "upgrade-hook", "Succeeded")
    assert (
        list_messages(operator.operator, OperatorPods((good, done)), POLICY, nodes, NO_SLICES, NO_SCALERS)
        == []
    )
    (finding,) = run_check(operator.operator, OperatorPods((bad, done)), POLICY, nodes, NO_SLICES, NO_SCALERS)
    assert (finding.outcome, finding.message) == ("fail", "not Ready: CrashLoopBackOff")
    (finding,) = run_check(operator.operator, OperatorPods((good, bad)), POLICY, nodes, NO_SLICES, NO_SCALERS)
    assert (finding.outcome, finding.message) == ("warn", "not Ready: CrashLoopBackOff")
    assert finding.subject is not None
    assert (finding.subject.namespace, finding.subject.name) == ("other", "bad")


def test_pods_that_have_ended_are_not_the_operator() -> None:
    nodes = Nodes((gpus("a", labels=DEPLOYED),))
    good = Pod("gpu-operator", "good", "Running", ready=True)
    evicted, hook = Pod("gpu-operator", "evicted", "Failed"), Pod("gpu-operator", "hook", "Succeeded")
    pods = OperatorPods((evicted, good, hook))
    assert list_messages(operator.operator, pods, POLICY, nodes, NO_SLICES, NO_SCALERS) == []
    pods = OperatorPods((evicted, hook))
    ((outcome, message),) = list_messages(operator.operator, pods, POLICY, nodes, NO_SLICES, NO_SCALERS)
    assert (outcome, "none of its pods is there" in message) == ("warn", True)


def test_no_operator() -> None:
    nobody = OperatorPods()
    left = list_messages(
        operator.operator, nobody, NO_POLICY, Nodes((gpus("a", labels=DEPLOYED),)), NO_SLICES, None
    )
    assert [outcome for outcome, _ in left] == ["warn"]
    broken = list_messages(
        operator.operator, nobody, NO_POLICY, Nodes((Node("a", labels=DEPLOYED),)), NO_SLICES, None
    )
    assert [outcome for outcome, _ in broken] == ["fail"]
    without = "GPUs are allocatable without the GPU Operator"
    assert (
        get_skip_reason(
            operator.operator, nobody, NO_POLICY, Nodes((gpus("a", labels=PRESENT),)), NO_SLICES, None
        )
        == without
    )
    assert (
        get_skip_reason(operator.operator, nobody, NO_POLICY, Nodes((Node("a"),)), offered("a"), NO_SCALERS)
        == without
    )


def policy(state: str, *conditions: Condition, kind: str = "ClusterPolicy") -> OperatorResources:
    return OperatorResources((OperatorResource(kind, "p", state, conditions),))


def test_the_operator_says_why_it_is_not_ready() -> None:
    nodes, pods = Nodes((gpus("a", labels=DEPLOYED),)), OperatorPods((Pod("g", "g", "Running", ready=True),))
    error = Condition("Error", "True", "OperandNotReady", "states not ready: [state-driver]")
    ready = Condition("Ready", "False", "Error")
    (finding,) = run_check(
        operator.operator, pods, policy("notReady", ready, error), nodes, NO_SLICES, NO_SCALERS
    )
    assert (str(finding.outcome), finding.message) == (
        "fail",
        "is notReady: states not ready: [state-driver]",
    )
    for state, outcomes in [("ready", []), ("disabled", []), ("ignored", ["warn"]), ("", ["warn"])]:
        given = list_messages(operator.operator, pods, policy(state), nodes, NO_SLICES, NO_SCALERS)
        assert [outcome for outcome, _ in given] == outcomes, state
    assert (
        list_messages(
            operator.operator, pods, policy("ready", kind="GPUCluster"), nodes, NO_SLICES, NO_SCALERS
        )
        == []
    )
    assert list_messages(
        operator.operator, pods, policy("ready", kind="NVIDIADriver"), nodes, NO_SLICES, None
    ) == [("warn", "runs, but no ClusterPolicy or GPUCluster tells it what to install")]


# nodes-ready


def test_a_node_that_takes_no_pods() -> None:
    bad = (Condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),)
    full = (*READY, Condition("DiskPressure", "True", "KubeletHasDiskPressure"))
    for node, outcome, said_of_it in [
        (Node("a", labels=PRESENT, conditions=bad), "fail", "Kubelet stopped posting"),
        (Node("a", labels=PRESENT, conditions=full), "fail", "has DiskPressure: KubeletHasDiskPressure"),
        (Node("a", labels=PRESENT), "fail", "has not reported yet"),
        (Node("a", labels=PRESENT, conditions=READY, unschedulable=True), "warn", "is cordoned"),
    ]:
        ((given, message),) = list_messages(gpu.nodes_ready, Nodes((CPU, node)), NO_SLICES, None)
        assert given == outcome
        assert said_of_it in message
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
    node = gpus("a", labels=labels, conditions=READY, unschedulable=True)  # type: ignore[arg-type]
    (finding,) = run_check(gpu.nodes_ready, Nodes((node,)), NO_SLICES, None)
    assert (str(finding.outcome), finding.fix) == ("warn", fix)
    assert state in finding.message or fix.startswith("kubectl uncordon")


def test_taints_that_nobody_should_tolerate() -> None:
    for key, says in [
        ("karpenter.sh/disrupted", "is being taken away by Karpenter"),
        ("ToBeDeletedByClusterAutoscaler", "is being taken away by the Cluster Autoscaler"),
        ("ebs.csi.aws.com/agent-not-ready", "until the agent that it is named after is ready"),
        ("node.cloudprovider.kubernetes.io/uninitialized", "until the agent"),
    ]:
        (finding,) = run_check(gpu.nodes_ready, tainted(Taint(key, "NoSchedule")), NO_SLICES, None)
        assert finding.outcome == "warn"
        assert says in finding.message
        assert "toleration" not in (finding.fix or ""), key


def test_taints_that_somebody_tolerates(tmp_path: Path) -> None:
    usual, own = Taint("nvidia.com/gpu", "NoSchedule", "present"), Taint("team", "NoExecute", "b")
    soft, cordon = Taint("team", "PreferNoSchedule"), Taint("node.kubernetes.io/unschedulable", "NoSchedule")
    assert list_messages(gpu.nodes_ready, tainted(usual, soft, cordon), NO_SLICES, None) == []
    ((outcome, message),) = list_messages(gpu.nodes_ready, tainted(own), NO_SLICES, None)
    assert (outcome, message) == ("warn", "has the taint team=b:NoExecute, which a worker must tolerate")
    text = GRAPH + FRONTEND + worker()
    for i, (toleration, outcomes) in enumerate(
        [
            ("{key: team, operator: Exists}", []),
            ("{key: team, value: b, effect: NoExecute}", []),
            ("{operator: Exists}", []),
            ("{key: team, value: c}", ["warn"]),
            ("{key: team, value: b, effect: NoSchedule}", ["warn"]),
        ]
    ):
        spec = f"      spec:\n        tolerations: [{toleration}]\n"
        given = recipes(tmp_path / str(i), deploy=text.replace("      spec:\n", spec))
        assert [o for o, _ in list_messages(gpu.nodes_ready, tainted(own), NO_SLICES, given)] == outcomes, (
            toleration
        )


# homogeneous


def labelled(name: str, product: str = "NVIDIA-H200", **labels: str) -> Node:
    given = {f"nvidia.com/{key.replace('__', '.').replace('_', '-')}": value for key, value in labels.items()}
    return gpus(name, labels={**PRESENT, "nvidia.com/gpu.product": product, **given})


def odd(*nodes: Node) -> list[str]:
    return [f.subject.name for f in run_check(gpu.homogeneous, Nodes(nodes), NO_SLICES) if f.subject]


def test_the_odd_one_out() -> None:
    a, b = labelled("a"), labelled("b")
    assert odd(a, b, labelled("c", "NVIDIA-A100-SXM4-80GB")) == ["c"]
    assert odd(a, b, labelled("c", "NVIDIA-L40S"), labelled("d", "NVIDIA-L40S")) == [], "two pools"
    assert odd(a, labelled("c", "NVIDIA-L40S")) == [], "neither is usual"
    new, old = {"cuda__driver_version__full": "580.95.05"}, {"cuda__driver_version__full": "570.86.15"}
    assert odd(labelled("a", **new), labelled("b", **new), labelled("c", **old), b) == ["c"]
    memory = [
        labelled(name, gpu__memory=m) for name, m in [("a", "143771"), ("b", "143771"), ("c", "143156")]
    ]
    assert odd(*memory) == [], "drivers differ in what they keep"
    assert odd(*memory, labelled("d", gpu__memory="97871")) == ["d"]
    assert odd(a, b, labelled("c", gpu__count="4")) == ["c"]
    sliced = labelled("c", "NVIDIA-H200-MIG-1g.18gb", gpu__count="56", gpu__memory="18000")
    assert odd(a, b, sliced) == [], "another layout is meant"
    assert get_skip_reason(gpu.homogeneous, Nodes((a, CPU)), NO_SLICES)


# operands


def daemon(app: str, desired: int = 3, ready: int = 3, *, observed: bool = True, **selector: str) -> Workload:
    chosen = {f"nvidia.com/gpu.deploy.{key.replace('_', '-')}": value for key, value in selector.items()}
    labels = {"app": app}
    return Workload(
        kind="DaemonSet", namespace="n", name=app, labels=labels, node_selector=chosen,
        desired=desired, ready=ready, observed=observed,
    )  # fmt: skip


def test_an_operand_is_known_by_what_it_selects() -> None:
    nodes = Nodes((gpus("a", labels=PRESENT),))
    for workload, outcome in [
        (daemon("nvidia-driver-daemonset-418", ready=2, driver="true"), "fail"),
        (daemon("nvidia-dcgm-dra", ready=2, dcgm="true"), "warn"),
        (daemon("nvidia-device-plugin", ready=0), "fail"),
        (daemon("x", ready=2, operator_validator="true"), "fail"),
        (daemon("x", ready=3, observed=False, driver="true"), "warn"),
    ]:
        given = list_messages(operator.operands, Workloads((workload,)), nodes, NO_SLICES)
        assert [o for o, _ in given] == [outcome], workload.name
    fine = (daemon("x", driver="true"), daemon("d", 0, 0, driver="true"), daemon("other", ready=0))
    assert list_messages(operator.operands, Workloads(fine), nodes, NO_SLICES) == []
    assert get_skip_reason(operator.operands, Workloads((daemon("other"),)), nodes, NO_SLICES)
    assert get_skip_reason(
        operator.operands, Workloads((daemon("d", 0, 0, driver="true"),)), nodes, NO_SLICES
    )


def test_what_a_node_that_is_down_misses_is_not_the_operands_fault() -> None:
    down = Node("a", labels=PRESENT, conditions=(Condition("Ready", "False"),))
    ((outcome, message),) = list_messages(
        operator.operands, Workloads((daemon("x", ready=2, driver="true"),)), Nodes((down,)), NO_SLICES
    )
    assert outcome == "warn"
    assert "as many as are NotReady" in message


# what labels tell


def test_the_driver_is_read_in_either_spelling() -> None:
    for labels, version, branch in [
        ({"cuda.driver-version.full": "580.95.05"}, "580.95.05", 580),
        ({"cuda.driver.major": "455", "cuda.driver.minor": "06", "cuda.driver.rev": ""}, "455.06", 455),
        ({"cuda.driver-version.major": "570", "cuda.driver-version.revision": "1"}, "570.1", 570),
        ({}, "", None),
    ]:
        node = GpuNode(Node("a", labels={f"nvidia.com/{key}": value for key, value in labels.items()}))
        assert (node.driver, node.driver_branch) == (version, branch)


def test_a_product_is_the_whole_gpu() -> None:
    for label, product in [
        ("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-80GB-HBM3"),
        ("NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "NVIDIA-H100-80GB-HBM3"),
        ("NVIDIA-A100-SXM4-40GB-MIG-INVALID", "NVIDIA-A100-SXM4-40GB"),
        ("NVIDIA-L40S-SHARED", "NVIDIA-L40S"),
        ("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb.me-SHARED", "NVIDIA-A100-SXM4-40GB"),
    ]:
        assert GpuNode(Node("a", labels={"nvidia.com/gpu.product": label})).product == product
