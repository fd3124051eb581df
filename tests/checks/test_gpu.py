from __future__ import annotations

from dynocheck.checks import gpu
from dynocheck.facts import Node, Nodes, OperatorPods, Pod, ResourceSlices, Slice
from tests.checks.judging import found, said, skipped

PRESENT = {"nvidia.com/gpu.present": "true"}
DEPLOYED = {**PRESENT, "nvidia.com/gpu.deploy.driver": "true"}
NO_SLICES = ResourceSlices(served=False)
CPU = Node("cpu")


def gpus(name: str, count: str = "8", *, healthy: str | None = None, **more: dict[str, str]) -> Node:
    amount = {"nvidia.com/gpu": count}
    return Node(name, capacity=amount, allocatable={"nvidia.com/gpu": healthy or count}, **more)  # type: ignore[arg-type]


def offered(node: str, driver: str = "gpu.nvidia.com", devices: int = 8) -> ResourceSlices:
    return ResourceSlices((Slice("s", driver, node, devices),))


def test_gpus_are_seen_by_label_by_amount_and_by_slice() -> None:
    for nodes, slices in [
        (Nodes((CPU, Node("a", labels=PRESENT))), NO_SLICES),
        (Nodes((CPU, gpus("a"))), NO_SLICES),
        (Nodes((CPU, Node("a", allocatable={"nvidia.com/mig-1g.10gb": "7"}))), NO_SLICES),
        (Nodes((CPU, Node("a"))), offered("a")),
    ]:
        assert said(gpu.nodes_present, nodes, slices) == []


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
        assert [outcome for outcome, _ in said(gpu.nodes_present, nodes, slices)] == ["fail"]


def test_a_labelled_node_needs_something_to_allocate() -> None:
    nodes = Nodes((gpus("good", labels=PRESENT), Node("bad", labels=PRESENT), CPU))
    (finding,) = found(gpu.allocatable, nodes, NO_SLICES)
    assert (str(finding.outcome), finding.subject and finding.subject.name) == ("fail", "bad")


def test_zero_counts_without_a_label_too() -> None:
    nodes = Nodes((gpus("bad", healthy="0"),))
    (finding,) = found(gpu.allocatable, nodes, NO_SLICES)
    assert finding.evidence == {"allocatable": {"nvidia.com/gpu": 0}, "capacity": {"nvidia.com/gpu": 8}}


def test_gpus_of_the_dra_driver_need_no_device_plugin() -> None:
    nodes = Nodes((Node("a", labels=PRESENT),))
    assert skipped(gpu.allocatable, nodes, offered("a")) == "GPUs are offered through DRA"


def test_mig_slices_count_and_what_was_there_before_them_does_not() -> None:
    left_behind = {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "56"}
    node = Node("a", labels=PRESENT, capacity={**left_behind, "nvidia.com/gpu": "8"}, allocatable=left_behind)
    assert said(gpu.allocatable, Nodes((node,)), NO_SLICES) == []


def test_a_sick_gpu_is_a_warning() -> None:
    assert said(gpu.allocatable, Nodes((gpus("a", healthy="7"),)), NO_SLICES) == [
        ("warn", "7 of 8 nvidia.com/gpu are allocatable: the rest is unhealthy")
    ]


def test_the_operator_is_judged_by_ready() -> None:
    nodes = Nodes((gpus("a", labels=DEPLOYED),))
    good = Pod("gpu-operator", "good", "Running", ready=True)
    bad = Pod("other", "bad", "Running", ready=False, waiting=("CrashLoopBackOff",))
    done = Pod("gpu-operator", "upgrade-hook", "Succeeded")
    assert said(gpu.operator, OperatorPods((good, done)), nodes, NO_SLICES) == []
    (finding,) = found(gpu.operator, OperatorPods((good, bad)), nodes, NO_SLICES)
    assert finding.message == "not Ready: CrashLoopBackOff"
    assert finding.subject is not None
    assert (finding.subject.namespace, finding.subject.name) == ("other", "bad")


def test_no_operator() -> None:
    nobody = OperatorPods()
    left = said(gpu.operator, nobody, Nodes((gpus("a", labels=DEPLOYED),)), NO_SLICES)
    assert [outcome for outcome, _ in left] == ["warn"]
    broken = said(gpu.operator, nobody, Nodes((Node("a", labels=DEPLOYED),)), NO_SLICES)
    assert [outcome for outcome, _ in broken] == ["fail"]
    without = "GPUs are allocatable without the GPU Operator"
    assert skipped(gpu.operator, nobody, Nodes((gpus("a", labels=PRESENT),)), NO_SLICES) == without
    assert skipped(gpu.operator, nobody, Nodes((Node("a"),)), offered("a")) == without
