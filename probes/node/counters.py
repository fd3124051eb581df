"""Error counters of NVLink, PCIe and RDMA links, read twice."""

import time
from collections.abc import Iterator
from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import LinkCounter, NodeCounters, NodeRoot
from dynocheck.probes.node._nvml import Nvml, open_nvml
from dynocheck.probes.node._sysfs import read

GAP_S = 0.8  # between the readings
_Key = tuple[str, str, str]  # kind and name of the device, counter
_GPU, _PORT = "GPU", "RDMA port"
# NVML_FI_DEV_NVLINK_*: those of all links up to NVLink 4, and those of each link of NVLink 5
_TOTALS = {38: "CRC flit", 45: "CRC data", 52: "replay", 59: "recovery", 160: "ECC"}
_BY_LINK = {
    206: "malformed packet",
    207: "buffer overrun",
    208: "receive",
    210: "receive general",
    214: "failed recovery",
}
_NAMES = (*_TOTALS.values(), *_BY_LINK.values())
_PORT_COUNTERS = (
    *("counters/link_downed", "counters/link_error_recovery", "counters/symbol_error"),
    *("counters/excessive_buffer_overrun_errors", "counters/local_link_integrity_errors"),
    *("hw_counters/rnr_nak_retry_err", "hw_counters/roce_slow_restart", "hw_counters/rx_drops"),
    *("hw_counters/unresponsive_remote_events", "hw_counters/impaired_remote_conn_events"),
)
_DEVICE_COUNTERS = ("hw_counters/no_completion_cmds", "hw_counters/cmds_err")


@probe()
def node_counters(root: NodeRoot) -> NodeCounters:
    with open_nvml() as nvml:
        started = time.monotonic()
        first = _read_all(root.path, nvml)
        if not first:
            return NodeCounters()
        time.sleep(GAP_S)
        second, seconds = _read_all(root.path, nvml), time.monotonic() - started
    grown = (LinkCounter(*key, first.get(key, 0), value) for key, value in second.items())
    return NodeCounters(tuple(each for each in grown if each.first or each.second), round(seconds, 3))


def _read_all(root: Path, nvml: Nvml | None) -> dict[_Key, int]:
    """Every counter that is there."""
    return {**dict(_read_gpus(nvml) if nvml else ()), **dict(_read_ports(root))}


def _read_gpus(nvml: Nvml) -> Iterator[tuple[_Key, int]]:
    for index, handle in nvml.list_handles():
        replays = nvml.ask(nvml.module.nvmlDeviceGetPcieReplayCounter, handle)
        if replays is not None:
            yield (_GPU, str(index), "PCIe replay"), replays
        links = min(nvml.read_field(handle, nvml.module.NVML_FI_DEV_NVLINK_LINK_COUNT) or 0, nvml.MAX_LINKS)
        if not links:
            continue
        totals = nvml.read_fields(handle, [*_TOTALS])
        by_link = (nvml.read_fields(handle, [(field, link) for link in range(links)]) for field in _BY_LINK)
        sums = [sum(value or 0 for value in values) for values in by_link]
        for name, count in zip(_NAMES, (*totals, *sums), strict=True):
            yield (_GPU, str(index), f"NVLink {name}"), count or 0


def _read_ports(root: Path) -> Iterator[tuple[_Key, int]]:
    for device in sorted(root.glob("sys/class/infiniband/*")):
        places = [(port, _PORT_COUNTERS) for port in sorted((device / "ports").glob("*"))]
        for place, counters in (*places, (device, _DEVICE_COUNTERS)):
            name = device.name if place is device else f"{device.name}/{place.name}"
            for counter in counters:
                if (text := read(place / counter)).isdigit():
                    yield (_PORT, name, counter.rpartition("/")[2]), int(text)
