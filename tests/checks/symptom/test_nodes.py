"""What kernels and agents say of nodes."""

import pytest

from dynocheck.checks.symptom.nodes import kernel
from dynocheck.facts import Condition, HostState, ObjectEvent, ObjectKey
from tests.checks.judging import outcomes
from tests.checks.symptom.states import NOW, YESTERDAY, make_state

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
