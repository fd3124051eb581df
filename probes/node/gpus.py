"""GPUs by NVML, through nvidia-ml-py."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeGpu, NodeGpus, NodeRoot
from dynocheck.probes.node._nvml import Nvml
from dynocheck.probes.node._sysfs import list_gpus


@probe()
def node_gpus(root: NodeRoot) -> NodeGpus:
    pci = len(list_gpus(root.path))
    try:
        import pynvml
    except ImportError:
        return NodeGpus(absent="nvidia-ml-py is not installed", pci=pci)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return NodeGpus(absent=f"NVML: {error}", absent_code=error.value, pci=pci)
    try:
        return _read_gpus(Nvml(pynvml), root.path, pci)
    except pynvml.NVMLError as error:
        return NodeGpus(absent=f"NVML: {error}", absent_code=error.value, pci=pci)
    finally:
        pynvml.nvmlShutdown()


def _read_gpus(nvml: Nvml, root: Path, pci: int) -> NodeGpus:
    module = nvml.module
    level = nvml.ask(module.nvmlSystemGetCudaDriverVersion_v2)
    return NodeGpus(
        devices=tuple(_read_gpu(nvml, root, index) for index in range(module.nvmlDeviceGetCount())),
        driver=nvml.ask(module.nvmlSystemGetDriverVersion),
        cuda=f"{level // 1000}.{level % 1000 // 10}" if level else None,
        pci=pci,
    )


def _read_gpu(nvml: Nvml, root: Path, index: int) -> NodeGpu:
    module = nvml.module
    try:
        handle = module.nvmlDeviceGetHandleByIndex(index)
    except module.NVMLError as error:
        return NodeGpu(index=index, fault=str(error), fault_code=error.value)

    def ask(call: Callable[..., Any], *arguments: Any) -> Any:
        return nvml.ask(call, handle, *arguments)

    memory, capability = ask(module.nvmlDeviceGetMemoryInfo), ask(module.nvmlDeviceGetCudaComputeCapability)
    mig, ecc = (
        ask(module.nvmlDeviceGetMigMode) or (None, None),
        ask(module.nvmlDeviceGetEccMode) or (None, None),
    )
    rows = ask(module.nvmlDeviceGetRemappedRows) or (None, None, None, None)
    retiring = ask(module.nvmlDeviceGetRetiredPagesPendingStatus)  # before Ampere
    fabric = _read_fabric(nvml, handle)
    pci = ask(module.nvmlDeviceGetPciInfo)
    running = ask(module.nvmlDeviceGetComputeRunningProcesses)
    processes = None if running is None else tuple(process.pid for process in running)
    return NodeGpu(
        index=index,
        name=ask(module.nvmlDeviceGetName) or "",
        firmware=ask(module.nvmlDeviceGetVbiosVersion) or "",
        uuid=ask(module.nvmlDeviceGetUUID) or "",
        bus=str(pci.busId).lower() if pci else "",
        memory_mib=memory.total >> 20 if memory else None,
        used_mib=memory.used >> 20 if memory else None,
        capability="{}.{}".format(*capability) if capability else None,
        mig=_to_bool(mig[0]),
        mig_pending=_to_bool(mig[1]),
        slices=_count_slices(nvml, handle) if mig[0] else None,
        ecc=_to_bool(ecc[0]),
        ecc_pending=_to_bool(ecc[1]),
        uncorrected=ask(
            module.nvmlDeviceGetTotalEccErrors,
            module.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
            module.NVML_VOLATILE_ECC,
        ),
        sram_exceeded=_read_sram(nvml, handle),
        remap_pending=_to_bool(retiring if rows[2] is None else rows[2]),
        remap_failed=_to_bool(rows[3]),
        links=_read_links(nvml, handle),
        width=ask(module.nvmlDeviceGetCurrPcieLinkWidth),
        width_max=ask(module.nvmlDeviceGetMaxPcieLinkWidth),
        generation=ask(module.nvmlDeviceGetCurrPcieLinkGeneration),
        generation_max=ask(module.nvmlDeviceGetMaxPcieLinkGeneration),
        performance=ask(module.nvmlDeviceGetPerformanceState),
        throttle=ask(module.nvmlDeviceGetCurrentClocksEventReasons),
        recovery=nvml.read_field(handle, module.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION),
        power_limit_w=_to_watts(ask(module.nvmlDeviceGetEnforcedPowerLimit)),
        power_default_w=_to_watts(ask(module.nvmlDeviceGetPowerManagementDefaultLimit)),
        fabric_state=fabric and fabric.state & 0xFF,
        fabric_status=fabric and fabric.status,
        fabric_health=fabric and fabric.healthMask,
        compute_mode=ask(module.nvmlDeviceGetComputeMode),
        processes=processes,
        gone=tuple(pid for pid in processes or () if not (root / f"proc/{pid}").exists()),
    )


def _count_slices(nvml: Nvml, handle: Any) -> int | None:
    """The MIG devices of a GPU that this process may see; None where NVML does not say."""
    module, found = nvml.module, 0
    most = nvml.ask(module.nvmlDeviceGetMaxMigDeviceCount, handle)
    for index in range(most or 0):
        try:
            module.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            found += 1
        except module.NVMLError as error:
            if error.value != module.NVML_ERROR_NOT_FOUND:
                return None
    return found if most else None


def _read_links(nvml: Nvml, handle: Any) -> tuple[bool, ...]:
    count = nvml.read_field(handle, nvml.module.NVML_FI_DEV_NVLINK_LINK_COUNT) or 0
    states = (
        nvml.ask(nvml.module.nvmlDeviceGetNvLinkState, handle, link)
        for link in range(min(count, nvml.MAX_LINKS))
    )
    return tuple(bool(state) for state in states if state is not None)


def _read_sram(nvml: Nvml, handle: Any) -> bool | None:
    """Whether errors of the caches passed the threshold of NVIDIA's policy for replacement."""
    status = nvml.module.c_nvmlEccSramErrorStatus_v1_t()
    done = nvml.ask(nvml.module.nvmlDeviceGetSramEccErrorStatus, handle, ctypes.byref(status))
    return None if done is None else bool(status.bThresholdExceeded)


def _read_fabric(nvml: Nvml, handle: Any) -> Any:
    """NVML's structure of the state of the NVLink fabric, None where it has none."""
    info = nvml.module.c_nvmlGpuFabricInfo_v2_t()
    done = nvml.ask(nvml.module.nvmlDeviceGetGpuFabricInfoV, handle, ctypes.byref(info))
    return None if done is None else info


def _to_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _to_watts(milliwatts: int | None) -> int | None:
    return None if milliwatts is None else round(milliwatts / 1000)
