"""Where GPUs and RDMA devices sit on the PCI bus, and which CPUs are near them."""

import re
from collections.abc import Iterator
from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeRoot, NodeTopology, PciDevice
from dynocheck.probes.node._sysfs import list_gpus, read

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_NODE = re.compile(r"node(\d{1,4})")
_MAX_CPUS = 8192  # CONFIG_NR_CPUS of the largest kernels
_FIRST_EXTENDED, _ACS = 0x100, 0x000D
_REDIRECTS = 0x04 | 0x08  # of requests, of completions


@probe()
def node_topology(root: NodeRoot) -> NodeTopology:
    found = ((path.name, path / "device") for path in sorted(root.path.glob("sys/class/infiniband/*")))
    nics = tuple(
        _read_device(device, name) for name, device in found if device.exists() and not _is_virtual(device)
    )
    gpus = tuple(_read_device(path) for path in list_gpus(root.path))
    # The root port is the first: what goes up from there goes through the CPU with ACS or without.
    switches = sorted({bridge for device in (*gpus, *nics) for bridge in device.bridges[1:]})
    controls = {name: _read_acs(root.path / "sys/bus/pci/devices" / name / "config") for name in switches}
    allowed = re.search(r"Cpus_allowed_list:\s*([\d,-]+)", read(root.path / "proc/self/status"))
    return NodeTopology(
        gpus=gpus,
        nics=nics,
        cpus=dict(_list_cpus(root.path)),
        allowed=_parse_list(allowed[1]) if allowed else (),
        redirecting=tuple(name for name, control in controls.items() if control and control & _REDIRECTS),
        acs_unread=tuple(name for name, control in controls.items() if control is None),
    )


def _read_device(path: Path, name: str = "") -> PciDevice:
    place = path.resolve()
    numa = read(place / "numa_node")
    return PciDevice(
        address=place.name,
        name=name,
        numa=int(numa) if numa.isdigit() else -1,
        bridges=tuple(part for part in place.parent.parts if _ADDRESS.fullmatch(part)),
        iommu=read(place / "iommu_group/type"),
    )


def _is_virtual(device: Path) -> bool:
    """Whether this is a virtual function beside the one that it belongs to."""
    return (device / "physfn").exists()


def _read_acs(config: Path) -> int | None:
    """The ACS control register in a PCI configuration space, 0 without one; None when it cannot be read."""
    try:
        content = config.read_bytes()
    except OSError:
        return None
    if len(content) <= _FIRST_EXTENDED:
        return None  # without CAP_SYS_ADMIN the kernel shows only the beginning
    offset, seen = _FIRST_EXTENDED, set[int]()
    while offset >= _FIRST_EXTENDED and offset + 8 <= len(content) and offset not in seen:
        seen.add(offset)
        header = int.from_bytes(content[offset : offset + 4], "little")
        if header & 0xFFFF == _ACS:
            return int.from_bytes(content[offset + 6 : offset + 8], "little")
        offset = header >> 20
    return 0


def _list_cpus(root: Path) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The CPUs of each NUMA node. Those without are memory, of a GPU for example."""
    for path in sorted(root.glob("sys/devices/system/node/node*")):
        number, cpus = _NODE.fullmatch(path.name), _parse_list(read(path / "cpulist"))
        if number and cpus:
            yield int(number[1]), cpus


def _parse_list(text: str) -> tuple[int, ...]:
    """The numbers of a list such as 0-3,8."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), min(int(last or first), _MAX_CPUS) + 1))
    return tuple(sorted(found))
