"""What kernels and agents say of nodes."""

import pytest

from dynocheck.checks.symptom.nodes import kernel
from dynocheck.checks.symptom.running import crash
from dynocheck.core.explanations import link_explanations
from dynocheck.core.knowledge import Knowledge
from dynocheck.core.pipeline import judge
from dynocheck.facts import (
    Condition,
    ContainerLog,
    ContainerLogs,
    HostState,
    NamespaceState,
    ObjectEvent,
    ObjectKey,
    Termination,
)
from tests.checks.judging import judge as judge_alone
from tests.checks.judging import outcomes
from tests.checks.symptom.states import NOW, YESTERDAY, make_container, make_pod, make_state

XID_79 = "NVRM: Xid (PCI:0000:3b:00): 79, pid=4242, name=python3, GPU has fallen off the bus."
XID_31 = "NVRM: Xid (PCI:0000:3b:00): 31, pid=4242, name=python3, Ch 00000008"


@pytest.mark.parametrize(
    ("reason", "message", "last", "found"),
    [
        ("XIDError", XID_79, NOW, ["warn"]),
        ("XIDError", XID_79, YESTERDAY, []),
        ("XIDError", XID_31, NOW, []),
        ("SystemOOM", "System OOM encountered, victim process: python3, pid: 7", NOW, ["warn"]),
        ("OOMKilling", "Memory cgroup out of memory: Killed process 7 (python3) total-vm:9kB", NOW, []),
        ("TaskHung", "INFO: task vllm:7 blocked for more than 120 seconds.", NOW, ["warn"]),
        ("NFSNotResponding", "nfs: server 10.0.0.5 not responding, still trying", NOW, ["warn"]),
        ("NFSBack", "nfs: server 10.0.0.5 OK", NOW, []),
        ("InvalidDiskCapacity", "invalid capacity 0 on image filesystem", NOW, []),
    ],
)
def test_an_event_of_a_node(reason: str, message: str, last: str, found: list[str]) -> None:
    about = ObjectKey("Node", "gpu-1")
    event = ObjectEvent(about=about, type="Warning", reason=reason, message=message, last=last)
    state = make_state(hosts=(HostState(name="gpu-1"),), events=(event,))
    assert outcomes(kernel, state) == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Condition("KernelDeadlock", "True", "DockerHung", "task docker:20744 blocked"), ["warn"]),
        (Condition("KernelDeadlock", "False", "KernelHasNoDeadlock", "kernel has no deadlock"), []),
        (
            Condition(
                "ReadonlyFilesystem", "False", "FilesystemIsNotReadOnly", "Filesystem is not read-only"
            ),
            [],
        ),
        (Condition("AcceleratedHardwareReady", "False", "NvidiaDoubleBitError", "GPU-1"), ["warn"]),
        (Condition("AcceleratedHardwareReady", "True", "NvidiaAcceleratedHardwareIsReady"), []),
        (Condition("GPUMissing", "True", "GPUMissing", "7 of 8"), ["warn"]),
        (Condition("UnhealthyNvidiaDevicePlugin", "False", "HealthyNvidiaDevicePlugin"), []),
        (Condition("EtcdIsVoter", "True", "MemberNotLearner", "Node is a voting member"), []),
    ],
)
def test_a_condition_of_a_node(condition: Condition, found: list[str]) -> None:
    assert outcomes(kernel, make_state(hosts=(HostState(name="gpu-1", conditions=(condition,)),))) == found


def test_events_that_may_not_be_read() -> None:
    state = make_state(hosts=(HostState(name="gpu-1"),), unlisted={"events of nodes": "forbidden"})
    assert judge_alone(kernel, state) == ["unjudged"]


@pytest.mark.parametrize(
    ("line", "explained"),
    [
        ("torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered", True),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", False),
    ],
)
def test_a_failed_gpu_explains_a_program_that_lost_it(line: str, explained: bool) -> None:
    about = ObjectKey("Node", "gpu-1")
    event = ObjectEvent(about=about, type="Warning", reason="XIDError", message=XID_79, last=NOW)
    ended = Termination(exit_code=1, finished=NOW)
    pod = make_pod(make_container(ready=False, running_since="", ended=ended))
    log = ContainerLog(pod=pod.name, container="main", lines=(line,))
    known = Knowledge()
    known.facts[NamespaceState] = make_state(pod, hosts=(HostState(name="gpu-1"),), events=(event,))
    known.facts[ContainerLogs] = ContainerLogs((log,))
    checks = (crash, kernel)
    linked, _ = link_explanations(judge(checks, known), {each.id: each.explained_by for each in checks})
    told = {v.check: v.findings[0].explained_by is not None for v in linked}
    assert told == {"symptom.crash": explained, "symptom.kernel": False}
