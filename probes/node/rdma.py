"""RDMA devices in sysfs, and what GPUDirect needs."""

import re
from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeRdma, NodeRoot, RdmaPort
from dynocheck.probes.node._sysfs import read

_DEVICES = "sys/class/infiniband"
_PEER_MODULES = ("nvidia_peermem", "nv_peer_mem")
_LEAST_LANES = 4
_ENCODING = 128 / 130  # of what PCIe transfers from generation 3 on is data


@probe()
def node_rdma(root: NodeRoot) -> NodeRdma:
    ports = sorted((root.path / _DEVICES).glob("*/ports/*"))
    version = read(root.path / "proc/driver/nvidia/version")
    override = re.search(r"GrdmaPciTopoCheckOverride: (\d+)", read(root.path / "proc/driver/nvidia/params"))
    return NodeRdma(
        ports=tuple(_read_port(port) for port in ports if port.name.isdigit()),
        verbs=tuple(sorted(path.name for path in root.path.glob("dev/infiniband/uverbs*"))),
        peermem=any((root.path / "sys/module" / name).exists() for name in _PEER_MODULES),
        peers=any(root.path.glob("sys/kernel/mm/memory_peers/nv_mem*/version")),
        open_modules="Open Kernel Module" in version if version else None,
        kernel=read(root.path / "proc/sys/kernel/osrelease"),
        gdrcopy=(root.path / "dev/gdrdrv").exists(),
        topology_override=int(override[1]) if override else None,
    )


def _read_port(port: Path) -> RdmaPort:
    device = port.parent.parent
    lid = read(port / "lid")
    types = sorted((port / "gid_attrs/types").glob("*"))[:256]
    v2_gids = tuple(sorted(int(entry.name) for entry in types if read(entry) == "RoCE v2"))
    driver, nets = device / "device/driver", sorted(device.glob("device/net/*/mtu"))
    return RdmaPort(
        device=device.name,
        number=int(port.name),
        state=read(port / "state").partition(": ")[2],
        physical=read(port / "phys_state").partition(": ")[2],
        rate=read(port / "rate"),
        link_layer=read(port / "link_layer"),
        lid=int(lid, 16) if lid.startswith("0x") else 0,
        roce_v2=bool(v2_gids),
        v2_gids=v2_gids,
        slot_gbit_s=_read_slot(device / "device"),
        driver=driver.resolve().name if driver.exists() else "",
        board=read(device / "board_id"),
        firmware=read(device / "fw_ver"),
        mtu=next((int(text) for net in nets if (text := read(net)).isdigit()), None),
    )


def _read_slot(device: Path) -> float | None:
    """Gb/s that the PCIe link of a card carries in one direction; None where it is not told, as by a virtual
    function, or where less than four lanes are wired, as to the management of NVSwitches.
    """
    speed, width = read(device / "current_link_speed").partition(" ")[0], read(device / "current_link_width")
    try:
        lanes = int(width)
        return round(float(speed) * lanes * _ENCODING) if lanes >= _LEAST_LANES else None
    except ValueError:
        return None
