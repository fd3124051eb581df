"""The NVLink fabric: NVSwitches, the fabric manager and IMEX."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, check, fail, warn
from dynocheck.checks.node._ladder import RESET, describe_step, name_gpu, require_gpus
from dynocheck.facts import NodeEnvironment, NodeFabric, NodeGpu, NodeGpus, NodeHost

_NOT_STARTED, _IN_PROGRESS = 1, 2  # nvmlGpuFabricState_t
# Places in NVML's health mask whose value 1 is bad, and the place of a wrong configuration
_DEGRADED = {
    0: "bandwidth is degraded",
    2: "a route recovers",
    4: "a route is unhealthy",
    6: "access times out",
}
_ROUTE, _CONFIGURATION, _SOUND = 4, 8, (0, 1)
_START = "systemctl restart nvidia-fabricmanager, or nvidia-imex on GB200 and GB300"


@check("node.fabric", title="The NVLink fabric is ready")
def fabric(
    gpus: NodeGpus, seen: NodeFabric, host: NodeHost, environment: NodeEnvironment
) -> Iterator[Finding]:
    """GPUs behind NVSwitches start no CUDA program until the fabric manager, or IMEX on machines of several
    nodes, has told them their routes. GPUs that are not on a fabric are left out. NVLink between nodes needs
    a channel of IMEX in the container.

    Fix: systemctl restart nvidia-fabricmanager, or nvidia-imex; request a ComputeDomain in the pod
    """
    known = [gpu for gpu in require_gpus(gpus) if gpu.fabric_state]
    if not known and not seen.switches:
        raise Skip("no GPU here is on an NVLink fabric")
    for gpu in known:
        if found := _find_fault(gpu):
            yield found
    if seen.switches and not seen.manager and not host.container:
        # GPUs that it had told their routes keep them until they are reset
        report = warn if known else fail
        yield report(f"{seen.switches} NVSwitches, and no fabric manager is running", fix=_START)
    wishes = {"NCCL_MNNVL_ENABLE=1", "UCX_CUDA_IPC_ENABLE_MNNVL=y"}
    wanted = wishes & {f"{name}={value}" for name, value in environment.items.items()}
    if wanted and known and not seen.imex_channels:
        yield fail(
            f"{' and '.join(sorted(wanted))}, and there is no IMEX channel",
            fix="request a ComputeDomain in the pod, or start nvidia-imex on the host",
        )


def _find_fault(gpu: NodeGpu) -> Finding | None:
    """What is wrong with the fabric of a GPU."""
    subject, mask = name_gpu(gpu), gpu.fabric_health or 0
    if gpu.fabric_state in (_NOT_STARTED, _IN_PROGRESS):
        state = "not begun" if gpu.fabric_state == _NOT_STARTED else "not ended"
        return fail(f"GPU {gpu.index}: registration with the fabric has {state}", fix=_START, subject=subject)
    if gpu.fabric_status:
        message = f"GPU {gpu.index}: registration with the fabric failed: NVML error {gpu.fabric_status}"
        return fail(message, fix=_START, subject=subject)
    reasons = [reason for shift, reason in _DEGRADED.items() if mask >> shift & 3 == 1]
    wrong = mask >> _CONFIGURATION & 0xF
    reasons += [f"its configuration is wrong ({wrong})"] if wrong not in _SOUND else []
    if not reasons:
        return None
    report = fail if wrong not in _SOUND or mask >> _ROUTE & 3 == 1 else warn
    return report(
        f"GPU {gpu.index}: on the NVLink fabric {', '.join(reasons)}",
        fix=describe_step(RESET, gpu),
        evidence={"mask": hex(mask)},
        subject=subject,
    )
