from __future__ import annotations

import pytest

from dynocheck.checks.gpu import operator
from dynocheck.facts import (
    Autoscalers,
    Condition,
    Node,
    Nodes,
    OperatorPods,
    OperatorResource,
    OperatorResources,
    Pod,
    ResourceSlice,
    ResourceSlices,
    Workload,
    Workloads,
)
from tests.checks.judging import get_skip_reason, outcomes, places, run_check

PRESENT = {"nvidia.com/gpu.present": "true"}
DEPLOYED = {**PRESENT, "nvidia.com/gpu.deploy.driver": "true"}
NO_SLICES = ResourceSlices(served=False)
SLICES = ResourceSlices((ResourceSlice("s", "gpu.nvidia.com", "a", 8),))
EIGHT = {"nvidia.com/gpu": "8"}
BROKEN = Node("a", labels=DEPLOYED)
WORKING = Node("a", labels=DEPLOYED, capacity=EIGHT, allocatable=EIGHT)
UNMANAGED = Node("a", labels=PRESENT, capacity=EIGHT, allocatable=EIGHT)
READY = Pod("gpu-operator", "good", "Running", ready=True)
CRASHING = Pod("other", "bad", "Running", ready=False, waiting=("CrashLoopBackOff",))
ENDED = (Pod("gpu-operator", "hook", "Succeeded"), Pod("gpu-operator", "evicted", "Failed"))


def policy(state: str, *conditions: Condition, kind: str = "ClusterPolicy") -> OperatorResources:
    return OperatorResources((OperatorResource(kind, "p", state, conditions),))


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ((READY,), []),
        ((CRASHING,), [("fail", "Pod other/bad")]),
        ((READY, CRASHING), [("warn", "Pod other/bad")]),
        ((), [("warn", "Deployment gpu-operator")]),
    ],
)
@pytest.mark.parametrize("ended", [(), ENDED], ids=["", "beside ended pods"])
def test_operator_pods_are_judged_by_ready(
    pods: tuple[Pod, ...], expected: list[tuple[str, str]], ended: tuple[Pod, ...]
) -> None:
    facts = (OperatorPods((*pods, *ended)), policy("ready"), Nodes((WORKING,)), NO_SLICES, Autoscalers())
    assert places(operator.operator, *facts) == expected


def test_no_operator() -> None:
    none = (OperatorPods(), OperatorResources())
    assert outcomes(operator.operator, *none, Nodes((WORKING,)), NO_SLICES, None) == ["warn"]
    assert outcomes(operator.operator, *none, Nodes((BROKEN,)), NO_SLICES, None) == ["fail"]
    for node, slices in [(UNMANAGED, NO_SLICES), (Node("a"), SLICES)]:
        reason = get_skip_reason(operator.operator, *none, Nodes((node,)), slices, Autoscalers())
        assert reason == "GPUs are allocatable without the GPU Operator"


def test_no_operator_where_nodes_are_added() -> None:
    none = (OperatorPods(), OperatorResources(), Nodes((Node("cpu"),)), NO_SLICES)
    assert "Karpenter" in get_skip_reason(operator.operator, *none, Autoscalers(("Karpenter",)))
    assert outcomes(operator.operator, *none, Autoscalers()) == ["fail"]


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (policy("ready"), []),
        (policy("disabled"), []),
        (policy("ignored"), [("warn", "ClusterPolicy p")]),
        (policy(""), [("warn", "ClusterPolicy p")]),
        (policy("notReady"), [("fail", "ClusterPolicy p")]),
        (policy("ready", kind="GPUCluster"), []),
        (policy("ready", kind="NVIDIADriver"), [("warn", "Deployment gpu-operator")]),
    ],
)
def test_the_states_of_what_it_installs(
    resources: OperatorResources, expected: list[tuple[str, str]]
) -> None:
    facts = (OperatorPods((READY,)), resources, Nodes((WORKING,)), NO_SLICES, Autoscalers())
    assert places(operator.operator, *facts) == expected


def test_a_policy_gives_the_reason_of_its_error() -> None:
    error = Condition("Error", "True", "OperandNotReady", "states not ready: [state-driver]")
    resources = policy("notReady", Condition("Ready", "False", "Error"), error)
    pods = OperatorPods((READY,))
    (finding,) = run_check(operator.operator, pods, resources, Nodes((WORKING,)), NO_SLICES, Autoscalers())
    assert error.message in finding.message


# operands


def daemon(app: str, desired: int = 3, ready: int = 3, *, observed: bool = True, **selector: str) -> Workload:
    chosen = {f"nvidia.com/gpu.deploy.{key.replace('_', '-')}": value for key, value in selector.items()}
    return Workload(
        kind="DaemonSet", namespace="n", name=app, labels={"app": app}, node_selector=chosen,
        desired=desired, ready=ready, observed=observed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        (daemon("nvidia-driver-daemonset-418", ready=2, driver="true"), ["fail"]),
        (daemon("nvidia-dcgm-dra", ready=2, dcgm="true"), ["warn"]),
        (daemon("nvidia-device-plugin", ready=0), ["fail"]),
        (daemon("x", ready=2, operator_validator="true"), ["fail"]),
        (daemon("x", ready=3, observed=False, driver="true"), ["warn"]),
        (daemon("x", driver="true"), []),
    ],
)
def test_an_operand_is_known_by_what_it_selects(workload: Workload, expected: list[str]) -> None:
    idle = (daemon("d", 0, 0, driver="true"), daemon("other", ready=0))
    nodes = Nodes((UNMANAGED,))
    assert outcomes(operator.operands, Workloads((workload, *idle)), nodes, NO_SLICES) == expected


@pytest.mark.parametrize("workload", [daemon("other"), daemon("d", 0, 0, driver="true")])
def test_no_operand(workload: Workload) -> None:
    assert get_skip_reason(operator.operands, Workloads((workload,)), Nodes((UNMANAGED,)), NO_SLICES)


def test_operands_missing_on_nodes_that_are_down_are_a_warning() -> None:
    down = Node("a", labels=PRESENT, conditions=(Condition("Ready", "False"),))
    workloads = Workloads((daemon("x", ready=2, driver="true"),))
    assert outcomes(operator.operands, workloads, Nodes((down,)), NO_SLICES) == ["warn"]
