"""GPUs by NVML, through nvidia-ml-py."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeGpu, NodeGpus, NodeRoot

_MAX_LINKS = 36  # NVML_NVLINK_MAX_LINKS of driver 610
_NVIDIA, _DISPLAY = "0x10de", "0x03"


@probe()
def node_gpus(root: NodeRoot) -> NodeGpus:
    pci = _count_pci(root.path)
    try:
        import pynvml
    except ImportError:
        return NodeGpus(absent="nvidia-ml-py is not installed", pci=pci)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return NodeGpus(absent=f"NVML: {error}", absent_code=error.value, pci=pci)
    try:
        return _read_gpus(pynvml, root.path, pci)
    except pynvml.NVMLError as error:
        return NodeGpus(absent=f"NVML: {error}", absent_code=error.value, pci=pci)
    finally:
        pynvml.nvmlShutdown()


def _read_gpus(nvml: ModuleType, root: Path, pci: int) -> NodeGpus:
    level = _ask(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2)
    return NodeGpus(
        devices=tuple(_read_gpu(nvml, root, index) for index in range(nvml.nvmlDeviceGetCount())),
        driver=_ask(nvml, nvml.nvmlSystemGetDriverVersion),
        cuda=f"{level // 1000}.{level % 1000 // 10}" if level else None,
        pci=pci,
    )


def _read_gpu(nvml: ModuleType, root: Path, index: int) -> NodeGpu:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return NodeGpu(index=index, fault=str(error), fault_code=error.value)

    def ask(call: Callable[..., Any], *arguments: Any) -> Any:
        return _ask(nvml, call, handle, *arguments)

    memory, capability = ask(nvml.nvmlDeviceGetMemoryInfo), ask(nvml.nvmlDeviceGetCudaComputeCapability)
    mig, ecc = ask(nvml.nvmlDeviceGetMigMode) or (None, None), ask(nvml.nvmlDeviceGetEccMode) or (None, None)
    rows = ask(nvml.nvmlDeviceGetRemappedRows) or (None,) * 4
    pci = ask(nvml.nvmlDeviceGetPciInfo)
    running = ask(nvml.nvmlDeviceGetComputeRunningProcesses)
    processes = None if running is None else tuple(process.pid for process in running)
    return NodeGpu(
        index=index,
        name=ask(nvml.nvmlDeviceGetName) or "",
        uuid=ask(nvml.nvmlDeviceGetUUID) or "",
        bus=str(pci.busId).lower() if pci else "",
        memory_mib=memory.total >> 20 if memory else None,
        used_mib=memory.used >> 20 if memory else None,
        capability="{}.{}".format(*capability) if capability else None,
        mig=_to_bool(mig[0]),
        mig_pending=_to_bool(mig[1]),
        ecc=_to_bool(ecc[0]),
        ecc_pending=_to_bool(ecc[1]),
        uncorrected=ask(
            nvml.nvmlDeviceGetTotalEccErrors, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        ),
        remap_pending=_to_bool(rows[2]),
        remap_failed=_to_bool(rows[3]),
        links=_read_links(nvml, handle),
        width=ask(nvml.nvmlDeviceGetCurrPcieLinkWidth),
        width_max=ask(nvml.nvmlDeviceGetMaxPcieLinkWidth),
        throttle=ask(nvml.nvmlDeviceGetCurrentClocksEventReasons),
        recovery=_read_field(nvml, handle, nvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION),
        compute_mode=ask(nvml.nvmlDeviceGetComputeMode),
        processes=processes,
        gone=tuple(pid for pid in processes or () if not (root / f"proc/{pid}").exists()),
    )


def _ask(nvml: ModuleType, call: Callable[..., Any], *arguments: Any) -> Any:
    """What NVML answers, None where it cannot: not supported, an older driver, no permission."""
    try:
        return call(*arguments)
    except nvml.NVMLError:
        return None


def _read_links(nvml: ModuleType, handle: Any) -> tuple[bool, ...]:
    count = _read_field(nvml, handle, nvml.NVML_FI_DEV_NVLINK_LINK_COUNT) or 0
    states = (
        _ask(nvml, nvml.nvmlDeviceGetNvLinkState, handle, link) for link in range(min(count, _MAX_LINKS))
    )
    return tuple(bool(state) for state in states if state is not None)


def _read_field(nvml: ModuleType, handle: Any, field: int) -> int | None:
    values = _ask(nvml, nvml.nvmlDeviceGetFieldValues, handle, [field])
    return int(values[0].value.uiVal) if values and values[0].nvmlReturn == nvml.NVML_SUCCESS else None


def _to_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _count_pci(root: Path) -> int:
    """The NVIDIA display and 3D controllers in sysfs that this machine itself uses."""
    count = 0
    for device in root.glob("sys/bus/pci/devices/*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        lent = (device / "driver").resolve().name == "vfio-pci"  # to a virtual machine
        count += vendor == _NVIDIA and kind.startswith(_DISPLAY) and not lent
    return count
