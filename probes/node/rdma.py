"""RDMA devices in sysfs, and what GPUDirect needs."""

import re
from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeRdma, NodeRoot, RdmaPort
from dynocheck.probes.node._sysfs import read

_DEVICES = "sys/class/infiniband"


@probe()
def node_rdma(root: NodeRoot) -> NodeRdma:
    ports = sorted((root.path / _DEVICES).glob("*/ports/*"))
    version = read(root.path / "proc/driver/nvidia/version")
    override = re.search(r"GrdmaPciTopoCheckOverride: (\d+)", read(root.path / "proc/driver/nvidia/params"))
    return NodeRdma(
        ports=tuple(_read_port(port) for port in ports if port.name.isdigit()),
        verbs=tuple(sorted(path.name for path in root.path.glob("dev/infiniband/uverbs*"))),
        peermem=(root.path / "sys/module/nvidia_peermem").exists(),
        open_modules="Open Kernel Module" in version if version else None,
        kernel=read(root.path / "proc/sys/kernel/osrelease"),
        gdrcopy=(root.path / "dev/gdrdrv").exists(),
        topology_override=int(override[1]) if override else None,
    )


def _read_port(port: Path) -> RdmaPort:
    device = port.parent.parent
    lid = read(port / "lid")
    types = (read(entry) for entry in sorted((port / "gid_attrs/types").glob("*"))[:256])
    driver = device / "device/driver"
    return RdmaPort(
        device=device.name,
        number=int(port.name),
        state=read(port / "state").partition(": ")[2],
        physical=read(port / "phys_state").partition(": ")[2],
        rate=read(port / "rate"),
        link_layer=read(port / "link_layer"),
        lid=int(lid, 16) if lid.startswith("0x") else 0,
        roce_v2=any(kind == "RoCE v2" for kind in types),
        driver=driver.resolve().name if driver.exists() else "",
    )
