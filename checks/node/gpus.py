"""GPUs that are there and sound."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dynocheck import Finding, Skip, check, fail, unjudged, unknown, warn
from dynocheck.checks.node._ladder import (
    REBOOT,
    REPLACE,
    RESET,
    RESTART_POD,
    WATCH,
    describe_step,
    name_gpu,
    require_gpus,
    require_known,
)
from dynocheck.core.outcomes import Result
from dynocheck.data.xids import Xid, decode_nvlink_xid, find_xid
from dynocheck.facts import NodeGpu, NodeGpus, NodeHost, NodeKernelLog, NodeRequest

_NO_PERMISSION, _LIBRARY_NOT_FOUND, _MISMATCH, _IN_USE = 4, 12, 18, 19  # nvmlReturn_t
_HELD_MIB = 1024  # what NVML counts as used on an idle GPU stays below
_THROTTLED = {
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
_IDLE = 0x01
_CAPPED = 0.95  # of the default power limit
_RESEAT = "drain the node, reseat the GPU or riser, and reboot"
_EXCLUSIVE = {2: "prohibited", 3: "exclusive process"}
# nvmlDeviceGpuRecoveryAction_t
_RECOVERY = {1: RESET, 2: REBOOT, 3: "drain the GPU's peers, then reset it", 4: f"drain the node; {RESET}"}
_STEPS = {"watch": WATCH, "pod": RESTART_POD, "reset": RESET, "reboot": REBOOT}
_BRIDGED = ("PCI", "NVL")  # cards whose NVLinks need a bridge, which need not be there


@check("node.gpu-visible", title="The GPUs of the machine can be used")
def gpu_visible(gpus: NodeGpus, host: NodeHost, request: NodeRequest) -> Iterator[Finding]:
    """An engine sees the GPUs that NVML sees. A GPU that is on the PCI bus and not in NVML fell off the bus,
    or has no driver. A container sees only the GPUs that it was given, so that none there is no fault unless
    --expect-gpu says so.

    Fix: load the driver, or request the GPUs in the pod's limits (nvidia.com/gpu)
    """
    for gpu in gpus.devices:
        if gpu.fault is not None:
            report = unknown if gpu.fault_code in (_NO_PERMISSION, _IN_USE) else fail
            fix = None if report is unknown else REBOOT
            yield report(f"GPU {gpu.index}: {gpu.fault}", fix=fix, subject=name_gpu(gpu))
    seen, limited = len(gpus.devices), host.container and not gpus.given_all
    if request.gpus is not None and seen != request.gpus:
        yield fail(
            f"{seen} GPUs, {request.gpus} expected" + (f": {gpus.absent}" if gpus.absent else ""),
            fix="request them in the pod's limits (nvidia.com/gpu)" if limited else REBOOT,
            evidence={"nvml": seen, "pci": gpus.pci},
        )
    elif not limited and gpus.pci > seen:
        mismatch = gpus.absent_code == _MISMATCH
        yield (unknown if gpus.absent_code in (None, _LIBRARY_NOT_FOUND) and not seen else fail)(
            f"{gpus.pci} GPUs on the PCI bus, {seen} in NVML" + (f": {gpus.absent}" if gpus.absent else ""),
            fix="reboot, or load the modules of the installed driver" if mismatch or not seen else REBOOT,
            evidence={"nvml": seen, "pci": gpus.pci},
        )
    elif not seen and request.gpus is None:
        raise Skip(gpus.absent or "no GPU here")


@check("node.recovery", title="The driver asks for no recovery of a GPU")
def recovery(gpus: NodeGpus, log: NodeKernelLog) -> Iterator[Finding]:
    """The driver itself tells whether a GPU needs a reset, the node a reboot or the GPU to be drained, from
    driver 570 on.

    Fix: do what the driver asks for
    """
    for gpu, action in require_known(gpus, "recovery", "recovery action"):
        if action:
            xids = [code for bus, code in log.xids if _is_at(gpu, bus)]
            yield fail(
                f"GPU {gpu.index}: the driver asks for recovery action {action}",
                fix=describe_step(_RECOVERY.get(action, REBOOT), gpu),
                evidence={"action": action, "xids": xids},
                subject=name_gpu(gpu),
            )


@check("node.xid", title="The kernel log holds no XID error that needs action")
def xid(gpus: NodeGpus, log: NodeKernelLog) -> Iterator[Result]:
    """XID errors are the driver's reports of a fault. Those of a process that misbehaved say nothing about
    the GPU; others need a reset or worse, by NVIDIA's catalog. One that the driver asks no recovery for may
    be an old one. Those of a GPU that needs recovery are told there. Of the errors of NVLink 5, those that
    their line calls fatal need a reset.

    Fix: do what https://docs.nvidia.com/deploy/xid-errors/ says of the code
    """
    usable = require_gpus(gpus)
    if log.unread is not None:
        yield unknown(
            f"the kernel log cannot be read: {log.unread}",
            fix="run as root on the node, or with /dev/kmsg mounted and CAP_SYSLOG",
        )
        return
    for gpu in usable:
        if not gpu.recovery:
            for code, row in sorted(_list_xids(gpu, log).items()):
                yield from _judge_xid(gpu, code, row)


def _list_xids(gpu: NodeGpu, log: NodeKernelLog) -> dict[int, Xid | None]:
    """The row of each code of a GPU; of an error of NVLink 5 that of the line that asks for most."""
    found = {code: find_xid(code) for bus, code in log.xids if _is_at(gpu, bus)}
    lines: dict[int, list[Xid | None]] = {}
    for bus, code, detail in log.details:
        if _is_at(gpu, bus):
            lines.setdefault(code, []).append(decode_nvlink_xid(code, detail))
    for code, rows in lines.items():
        resets = [row for row in rows if row and row.step == "reset"]
        found[code] = resets[0] if resets else None if None in rows else rows[0]
    return found


def _judge_xid(gpu: NodeGpu, code: int, row: Xid | None) -> Iterator[Result]:
    if row is None:
        yield unjudged(f"XID {code} of GPU {gpu.index}", why="its action is not known", subject=name_gpu(gpu))
        return
    if row.step in ("watch", "pod"):
        return
    settled = gpu.recovery == 0 or row.step == "reset_later"
    yield (warn if settled else fail)(
        f"GPU {gpu.index}: XID {code}: {row.meaning}"
        + ("; the driver asks for no recovery now" if gpu.recovery == 0 else ""),
        fix=describe_step(WATCH if gpu.recovery == 0 else _STEPS.get(row.step, RESET), gpu),
        evidence={"xid": code, "source": row.source},
        subject=name_gpu(gpu),
    )


def _is_at(gpu: NodeGpu, bus: str) -> bool:
    """Whether a PCI address of the kernel log is that of the GPU, which NVML writes with a longer domain."""
    return gpu.bus.partition(".")[0][-10:] == bus.partition(".")[0][-10:].rjust(10, "0")


@check("node.ecc", title="No GPU has uncorrected ECC errors")
def ecc(gpus: NodeGpus) -> Iterator[Finding]:
    """An uncorrected error has ended a process, and others may follow until the GPU is reset. Errors before
    the last reset do not count. A change of the mode waits for a reset.

    Fix: reset the GPU when it is idle: nvidia-smi --gpu-reset -i INDEX
    """
    for gpu, on in require_known(gpus, "ecc", "ECC mode"):
        if gpu.sram_exceeded:
            message = f"GPU {gpu.index}: ECC errors of its caches passed NVIDIA's threshold for replacement"
            yield fail(message, fix=REPLACE, subject=name_gpu(gpu))
        if gpu.uncorrected:
            yield fail(
                f"GPU {gpu.index}: {gpu.uncorrected} uncorrected ECC errors since its last reset",
                fix=describe_step(RESET, gpu),
                subject=name_gpu(gpu),
            )
        if on != gpu.ecc_pending:
            yield warn(
                f"GPU {gpu.index}: ECC is {_on(on)}, and {_on(gpu.ecc_pending)} after the next reset",
                fix=describe_step(RESET, gpu),
                subject=name_gpu(gpu),
            )
        elif not on:
            yield warn(
                f"GPU {gpu.index}: ECC is off",
                fix=f"nvidia-smi -i {gpu.index} -e 1, then reset the GPU",
                subject=name_gpu(gpu),
            )


def _on(state: bool | None) -> str:
    return "on" if state else "off"


@check("node.row-remap", title="No GPU waits for or failed row remapping")
def row_remap(gpus: NodeGpus) -> Iterator[Result]:
    """From Ampere on a GPU replaces faulty memory rows at its next reset, an older one gives up pages. What
    is pending harms nobody until then; where it failed, the GPU is to be replaced.

    Fix: reset the GPU when it is idle: nvidia-smi --gpu-reset -i INDEX
    """
    usable = require_gpus(gpus)
    if all(gpu.remap_pending is None and not gpu.mig for gpu in usable):
        raise Skip("NVML tells no row remapping of these GPUs")
    for gpu in usable:
        subject = name_gpu(gpu)
        if gpu.remap_failed:
            yield fail(f"GPU {gpu.index}: row remapping failed", fix=REPLACE, subject=subject)
        elif gpu.remap_pending:
            fix = describe_step(RESET, gpu)
            yield warn(
                f"GPU {gpu.index}: faulty memory is to be left out after the next reset",
                fix=fix,
                subject=subject,
            )
        elif gpu.remap_pending is None and gpu.mig:
            yield unjudged(
                f"GPU {gpu.index}", why="with MIG on, NVML tells no row remapping", subject=subject
            )


@check("node.pcie", title="GPUs have all their PCIe lanes, at their speed")
def pcie(gpus: NodeGpus) -> Iterator[Finding]:
    """A GPU with half of its lanes, or of an older PCIe generation, loads weights and moves KV cache through
    host memory at half the speed. An idle GPU lowers the generation to save power, so that it is judged when
    the GPU runs at full clocks, or is like others of its kind but for that.

    Fix: drain the node, reseat the GPU or riser, and reboot
    """
    known = require_known(gpus, "width", "PCIe width")
    for gpu, width in known:
        wanted = max(gpu.width_max or 0, _find_usual(w for other, w in known if other.name == gpu.name))
        if width < wanted:
            yield warn(f"GPU {gpu.index}: PCIe x{width} of x{wanted}", fix=_RESEAT, subject=name_gpu(gpu))
        fastest = _find_generation(gpu, gpus.usable)
        if gpu.generation and gpu.generation < fastest:
            message = f"GPU {gpu.index}: PCIe generation {gpu.generation} of {fastest}"
            yield warn(message, fix=_RESEAT, subject=name_gpu(gpu))


def _find_generation(gpu: NodeGpu, gpus: Sequence[NodeGpu]) -> int:
    """The PCIe generation that a GPU should have now; 0 where that is not known."""
    if gpu.performance != 0:
        return 0
    alike = (other for other in gpus if (other.name, other.performance) == (gpu.name, 0))
    usual = _find_usual(other.generation for other in alike)
    working = gpu.throttle is not None and not gpu.throttle & _IDLE
    return max(usual, gpu.generation_max or 0 if working else 0)


def _find_usual(values: Iterable[int | None]) -> int:
    """The value of more than half of them, 0 without one."""
    counts = Counter(values)
    return next((value for value, count in counts.items() if value and count * 2 > counts.total()), 0)


@check("node.nvlink", title="All NVLinks of the GPUs are active")
def nvlink(gpus: NodeGpus) -> Iterator[Finding]:
    """Tensor parallelism moves activations over NVLink; with a link down it is slower, or NCCL fails. Links
    of cards that need a bridge are compared with those of the others, of which a bridge may leave some out. A
    GPU alone in its machine needs none, and with MIG on none is judged.

    Fix: look for XID 74 and the fabric manager (systemctl status nvidia-fabricmanager), then reset the GPU
    """
    usable = require_gpus(gpus)
    linked = [gpu for gpu in usable if gpu.links and not gpu.mig and not _is_unlinked(gpu, gpus)]
    if not linked:
        raise Skip("no GPU here has NVLinks in use")
    most = max(len(gpu.links) for gpu in linked)
    for gpu in linked:
        alike = [other for other in linked if other.name == gpu.name]
        wanted = max(sum(other.links) for other in alike) if _is_bridged(gpu) else most
        active = sum(gpu.links)
        if active < min(wanted, len(gpu.links)) or (len(gpu.links) < most and len(alike) == len(linked)):
            down = [str(link) for link, active in enumerate(gpu.links) if not active]
            yield fail(
                f"GPU {gpu.index}: {active} of {wanted} NVLinks active",
                fix=f"systemctl status nvidia-fabricmanager; then {describe_step(RESET, gpu)}",
                evidence={"down": ", ".join(down)},
                subject=name_gpu(gpu),
            )


def _is_unlinked(gpu: NodeGpu, gpus: NodeGpus) -> bool:
    """Whether a GPU uses no NVLink, as one without a bridge, or alone in its machine and on no fabric."""
    alone = len(gpus.usable) == 1 and gpus.pci <= 1 and not gpu.fabric_state
    return not any(gpu.links) and (alone or _is_bridged(gpu))


def _is_bridged(gpu: NodeGpu) -> bool:
    return any(word in gpu.name.upper() for word in _BRIDGED)


@check("node.throttled", title="No GPU is slowed by heat or power")
def throttled(gpus: NodeGpus) -> Iterator[Finding]:
    """A GPU that lowers its clocks by heat or by the power brake is slower than its neighbours, and with it
    all ranks of the engine. Reaching the power cap under load is normal; a cap below the default is told.

    Fix: look at fans, inlet temperature and power supplies
    """
    for gpu in require_gpus(gpus):
        if gpu.power_limit_w and gpu.power_limit_w < (gpu.power_default_w or 0) * _CAPPED:
            yield warn(
                f"GPU {gpu.index}: power limit {gpu.power_limit_w} W; the default is {gpu.power_default_w} W",
                fix=f"nvidia-smi -i {gpu.index} -pl {gpu.power_default_w}, unless the limit is wanted",
                subject=name_gpu(gpu),
            )
    for gpu, bits in require_known(gpus, "throttle", "clock events"):
        reasons = [reason for bit, reason in _THROTTLED.items() if bits & bit]
        if reasons:
            yield warn(
                f"GPU {gpu.index} is slowed: {', '.join(reasons)}",
                fix="look at fans, inlet temperature and power supplies; if it stays, drain the node",
                evidence={"reasons": hex(bits)},
                subject=name_gpu(gpu),
            )


@check("node.mig", title="MIG modes are settled and alike")
def mig(gpus: NodeGpus) -> Iterator[Finding]:
    """A mode that waits for a reset is not that of the running GPU. On a machine where only some GPUs have
    MIG on, a recipe for whole GPUs gets fewer than the node has. With MIG on and no MIG device made, CUDA
    finds no GPU.

    Fix: nvidia-smi -i INDEX -mig 0|1, then reset the GPU
    """
    known = require_known(gpus, "mig", "MIG mode")
    for gpu, on in known:
        if on != gpu.mig_pending:
            yield warn(
                f"GPU {gpu.index}: MIG is {_on(on)}, and {_on(gpu.mig_pending)} after the next reset",
                fix=describe_step(RESET, gpu),
                subject=name_gpu(gpu),
            )
        elif on and gpu.slices == 0:
            yield warn(
                f"GPU {gpu.index}: MIG is on, and no MIG device is made: CUDA cannot use it",
                fix=f"make some: nvidia-smi mig -i {gpu.index} -cgi PROFILE -C, or switch MIG off: "
                f"nvidia-smi -i {gpu.index} -mig 0",
                subject=name_gpu(gpu),
            )
    modes = Counter(on for _, on in known)
    if len(modes) == 2 and all(on == gpu.mig_pending for gpu, on in known):
        yield warn(
            f"MIG is on for {modes[True]} of {len(known)} GPUs",
            fix="set one mode for all: nvidia-smi -mig 0 or 1, then reset the GPUs",
        )


@check("node.compute-mode", title="GPUs admit several processes")
def compute_mode(gpus: NodeGpus) -> Iterator[Finding]:
    """Engines open a GPU from several processes, which the exclusive mode refuses.

    Fix: nvidia-smi -i INDEX -c DEFAULT
    """
    for gpu, mode in require_known(gpus, "compute_mode", "compute mode"):
        if mode in _EXCLUSIVE:
            yield fail(
                f"GPU {gpu.index}: compute mode {_EXCLUSIVE[mode]}",
                fix=f"nvidia-smi -i {gpu.index} -c DEFAULT",
                subject=name_gpu(gpu),
            )


@check("node.memory-free", title="GPU memory is free")
def memory_free(gpus: NodeGpus, host: NodeHost) -> Iterator[Finding]:
    """An engine takes a share of all memory and fails at start where something else holds it. Memory that
    belongs to no living process was leaked. What a running process holds is in use, which is no fault; from
    a container the processes of others cannot be seen.

    Fix: restart the pod that held it; if it stays, nvidia-smi --gpu-reset -i INDEX
    """
    for gpu, used in require_known(gpus, "used_mib", "memory in use"):
        if used <= _HELD_MIB:
            continue
        subject, evidence = name_gpu(gpu), {"used_mib": used, "processes": list(gpu.processes or ())}
        alive = set(gpu.processes or ()) - set(gpu.gone)
        if gpu.processes is None or alive or host.container:
            yield unknown(f"GPU {gpu.index} is in use: {used} MiB", subject=subject, evidence=evidence)
        else:
            yield fail(
                f"GPU {gpu.index}: {used} MiB held by no living process",
                fix=describe_step(RESET, gpu),
                subject=subject,
                evidence=evidence,
            )
