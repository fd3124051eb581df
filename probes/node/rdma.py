"""RDMA devices in sysfs, and what GPUDirect needs."""

from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeRdma, NodeRoot, RdmaPort

_DEVICES = "sys/class/infiniband"


@probe()
def node_rdma(root: NodeRoot) -> NodeRdma:
    ports = sorted((root.path / _DEVICES).glob("*/ports/*"))
    version = _read(root.path / "proc/driver/nvidia/version")
    return NodeRdma(
        ports=tuple(_read_port(port) for port in ports if port.name.isdigit()),
        verbs=tuple(sorted(path.name for path in root.path.glob("dev/infiniband/uverbs*"))),
        peermem=(root.path / "sys/module/nvidia_peermem").exists(),
        open_modules="Open Kernel Module" in version if version else None,
        kernel=_read(root.path / "proc/sys/kernel/osrelease"),
    )


def _read_port(port: Path) -> RdmaPort:
    device = port.parent.parent
    lid = _read(port / "lid")
    types = (_read(entry) for entry in sorted((port / "gid_attrs/types").glob("*"))[:256])
    driver = device / "device/driver"
    return RdmaPort(
        device=device.name,
        number=int(port.name),
        state=_read(port / "state").partition(": ")[2],
        physical=_read(port / "phys_state").partition(": ")[2],
        rate=_read(port / "rate"),
        link_layer=_read(port / "link_layer"),
        lid=int(lid, 16) if lid.startswith("0x") else 0,
        roce_v2=any(kind == "RoCE v2" for kind in types),
        driver=driver.resolve().name if driver.exists() else "",
    )


def _read(path: Path) -> str:
    """The text of a small file; empty where there is none, as for unused GIDs."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
