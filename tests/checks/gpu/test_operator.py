from typing import Any

import msgspec
import pytest

from dynocheck.checks.gpu import operator
from dynocheck.facts import (
    Autoscalers,
    Condition,
    LabelledNamespace,
    Namespaces,
    Node,
    Nodes,
    OperatorPods,
    OperatorResource,
    OperatorResources,
    Pod,
    ResourceSlices,
    Taint,
    Workload,
    Workloads,
)
from tests.checks.gpu import CPU, NO_SLICES, PRESENT, WHOLE, holding, offer
from tests.checks.judging import get_skip_reason, outcomes, places, run_check

DEPLOYED = {**PRESENT, "nvidia.com/gpu.deploy.driver": "true"}
BROKEN = Node("a", labels=DEPLOYED)
WORKING, UNMANAGED = holding("a", WHOLE, labels=DEPLOYED), holding("a", WHOLE, labels=PRESENT)
READY = Pod("gpu-operator", "good", "Running", ready=True)
CRASHING = Pod("other", "bad", "Running", ready=False, waiting=("CrashLoopBackOff",))
LEAVING = Pod("gpu-operator", "old", "Running", ready=True, terminating=True)
ENDED = (Pod("gpu-operator", "hook", "Succeeded"), Pod("gpu-operator", "evicted", "Failed"))


def policy(state: str, *conditions: Condition, kind: str = "ClusterPolicy") -> OperatorResources:
    return OperatorResources((OperatorResource(kind, "p", state, conditions),))


def around(*pods: Pod, resources: OperatorResources | None = None) -> tuple[Any, ...]:
    """The facts of an operator that serves one working node."""
    return OperatorPods(pods), resources or policy("ready"), Nodes((WORKING,)), NO_SLICES, Autoscalers()


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ((READY,), []),
        ((CRASHING,), [("fail", "Pod other/bad")]),
        ((READY, CRASHING), [("warn", "Pod other/bad")]),
        ((LEAVING,), [("fail", "Pod gpu-operator/old")]),
        ((READY, LEAVING), [("warn", "Pod gpu-operator/old")]),
        ((), [("warn", "Deployment gpu-operator")]),
    ],
)
@pytest.mark.parametrize("ended", [(), ENDED], ids=["", "beside ended pods"])
def test_operator(pods: tuple[Pod, ...], expected: list[tuple[str, str]], ended: tuple[Pod, ...]) -> None:
    assert places(operator.operator, *around(*pods, *ended)) == expected


NONE = OperatorPods(), OperatorResources()


LABEL = {"key": "pci", "operator": "In", "values": ["true"]}
TAINTED = Node("a", labels={"pci": "true"}, taints=(Taint("team", "NoSchedule", "b"),))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"node_selector": {"gpu": "true"}}, "no node has the label gpu=true"),
        ({"node_terms": ({"matchExpressions": [{**LABEL, "key": "gpu"}]},)}, "node affinity gpu=true"),
        ({"node_terms": ({"matchExpressions": [LABEL]},)}, "the taint team=b:NoSchedule"),
        ({"tolerations": ({"operator": "Exists"},)}, "on no node"),
        ({"desired": 1}, "no GPU is allocatable"),
    ],
)
def test_why_a_device_plugin_wants_no_pod(fields: dict[str, Any], told: str) -> None:
    name = {"app.kubernetes.io/name": "nvidia-device-plugin"}
    plugin = Workload(kind="DaemonSet", namespace="gpu", name="plugin", pod_labels=name, **fields)
    (finding,) = run_check(
        operator.operator, *NONE, Nodes((TAINTED,)), NO_SLICES, Autoscalers(), Workloads((plugin,))
    )
    assert finding.message.endswith(told)


@pytest.mark.parametrize("name", ["nvidia-device-plugin", "nvidia-dra-driver-gpu", "dra-driver-nvidia-gpu"])
def test_a_device_plugin_without_an_operator_that_offers_nothing(name: str) -> None:
    plugin = Workload(
        kind="DaemonSet", namespace="gpu", name="plugin", pod_labels={"app.kubernetes.io/name": name}
    )
    facts = *NONE, Nodes((Node("a", labels=PRESENT),)), NO_SLICES, Autoscalers(), Workloads((plugin,))
    assert places(operator.operator, *facts) == [("fail", "DaemonSet gpu/plugin")]


@pytest.mark.parametrize(
    ("node", "scalers", "expected"),
    [
        (WORKING, None, ["warn"]),
        (BROKEN, None, ["fail"]),
        (CPU, Autoscalers(), ["fail"]),
        (CPU, Autoscalers(("Karpenter",)), ["skip"]),  # which adds nodes
    ],
)
def test_no_operator(node: Node, scalers: Autoscalers | None, expected: list[str]) -> None:
    assert outcomes(operator.operator, *NONE, Nodes((node,)), NO_SLICES, scalers) == expected


@pytest.mark.parametrize(("node", "slices"), [(UNMANAGED, NO_SLICES), (Node("a"), offer())])
def test_gpus_without_an_operator(node: Node, slices: ResourceSlices) -> None:
    reason = get_skip_reason(operator.operator, *NONE, Nodes((node,)), slices, Autoscalers())
    assert reason == "GPUs are allocatable without the GPU Operator"


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
def test_states_of_what_it_installs(resources: OperatorResources, expected: list[tuple[str, str]]) -> None:
    assert places(operator.operator, *around(READY, resources=resources)) == expected


def test_a_policy_gives_the_reason_of_its_error() -> None:
    error = Condition("Error", "True", "OperandNotReady", "states not ready: [state-driver]")
    resources = policy("notReady", Condition("Ready", "False", "Error"), error)
    (finding,) = run_check(operator.operator, *around(READY, resources=resources))
    assert error.message in finding.message


# operands


def daemon(app: str, desired: int = 3, ready: int = 3, *, observed: bool = True, **selector: str) -> Workload:
    chosen = {f"nvidia.com/gpu.deploy.{key.replace('_', '-')}": value for key, value in selector.items()}
    return Workload(
        kind="DaemonSet", namespace="n", name=app, labels={"app": app}, node_selector=chosen,
        desired=desired, ready=ready, observed=observed,
    )  # fmt: skip


DOWN = Node("a", labels=PRESENT, conditions=(Condition("Ready", "False"),))
IDLE = daemon("d", 0, 0, driver="true"), daemon("other", ready=0)


@pytest.mark.parametrize(
    ("workloads", "node", "expected"),
    [
        ([daemon("nvidia-driver-daemonset-418", ready=2, driver="true"), *IDLE], UNMANAGED, ["fail"]),
        ([daemon("nvidia-dcgm-dra", ready=2, dcgm="true"), *IDLE], UNMANAGED, ["warn"]),
        ([daemon("nvidia-device-plugin", ready=0), *IDLE], UNMANAGED, ["fail"]),
        ([daemon("x", ready=2, operator_validator="true"), *IDLE], UNMANAGED, ["fail"]),
        ([daemon("x", ready=3, observed=False, driver="true"), *IDLE], UNMANAGED, ["warn"]),
        ([daemon("x", driver="true"), *IDLE], UNMANAGED, []),
        ([daemon("other")], UNMANAGED, ["skip"]),
        ([daemon("d", 0, 0, driver="true")], UNMANAGED, ["skip"]),
        ([daemon("x", ready=2, driver="true")], DOWN, ["warn"]),  # it is missing on a node that is down
    ],
)
def test_operands(workloads: list[Workload], node: Node, expected: list[str]) -> None:
    facts = Workloads(tuple(workloads)), Nodes((node,)), NO_SLICES, None
    assert outcomes(operator.operands, *facts) == expected


@pytest.mark.parametrize(
    ("pods", "level", "named"),
    [(0, "baseline", True), (0, "restricted", True), (0, "privileged", False), (3, "baseline", False)],
)
def test_a_namespace_that_rejects_the_pods_of_operands(pods: int, level: str, named: bool) -> None:
    workload = msgspec.structs.replace(daemon("driver", ready=0, driver="true"), pods=pods)
    labels = {"pod-security.kubernetes.io/enforce": level}
    facts = (
        Workloads((workload,)),
        Nodes((UNMANAGED,)),
        NO_SLICES,
        Namespaces((LabelledNamespace("n", labels),)),
    )
    assert (("fail", "Namespace n") in places(operator.operands, *facts)) is named
