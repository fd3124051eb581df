"""Small files and PCI devices of sysfs."""

from collections.abc import Iterator
from pathlib import Path

_NVIDIA = "0x10de"
_DISPLAY, _BRIDGE = "0x03", "0x0680"


def read(path: Path) -> str:
    """The text of a small file; empty where there is none, as for unused GIDs."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def list_gpus(root: Path) -> list[Path]:
    """The NVIDIA display and 3D controllers that this machine itself uses."""
    return [*_list_nvidia(root, _DISPLAY)]


def list_switches(root: Path) -> list[Path]:
    """The NVSwitches that this machine itself uses."""
    return [*_list_nvidia(root, _BRIDGE)]


def _list_nvidia(root: Path, kind: str) -> Iterator[Path]:
    for device in sorted(root.glob("sys/bus/pci/devices/*")):
        lent = (device / "driver").resolve().name == "vfio-pci"  # to a virtual machine
        if read(device / "vendor") == _NVIDIA and read(device / "class").startswith(kind) and not lent:
            yield device
