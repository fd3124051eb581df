"""Machines for the checks of a node: GPUs by the tests' NVML, the rest as a tree of files."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dynocheck import Skip
from dynocheck.core.outcomes import Finding, Unjudged
from dynocheck.core.registry import Registry, load
from dynocheck.facts import Fact, NodeRequest, NodeRoot
from dynocheck.probes.node import counters
from tests import wording
from tests.nvml.library import MACHINE, load_library, write_machine

LIMITS = (
    "Max open files            {nofile}  {nofile}  files\nMax locked memory   {memlock}  {memlock}  bytes\n"
)
HUB = "root/.cache/huggingface/hub"
SNAPSHOT = f"{HUB}/models--org--model/snapshots/0123"
SOUND = {
    "proc/self/limits": LIMITS.format(nofile=1048576, memlock="unlimited"),
    "proc/self/status": "Name:\tpython3\nCapEff:\t00000000a80425fb\nCpus_allowed_list:\t0-127\n",
    "sys/devices/system/node/node0/cpulist": "0-63\n",
    "sys/devices/system/node/node1/cpulist": "64-127\n",
    "proc/meminfo": "MemTotal:       2113540000 kB\n",
    "proc/mounts": "overlay / overlay rw 0 0\ntmpfs /dev/shm tmpfs rw,size=16777216k 0 0\n",
    "proc/sys/kernel/osrelease": "6.8.0-60-generic\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05\n",
    "proc/4242/comm": "python3\n",
    "dev/kmsg": "6,1,0,-;Linux version 6.8.0\n",
    "dev/infiniband/uverbs0": "",
    "sys/fs/cgroup/pids.max": "max\n",
}
SWITCHES = tuple(f"sys/devices/pci0000:{bus}0/0000:{bus}0:01.0/0000:{bus}1:00.0" for bus in (0, 8))
PORT = {
    "state": "4: ACTIVE",
    "phys_state": "5: LinkUp",
    "rate": "400 Gb/sec (4X NDR)",
    "link_layer": "InfiniBand",
    "lid": "0x2b",
}
CONTAINER: dict[str, str | None] = {
    ".dockerenv": "",
    "var/run/secrets/kubernetes.io/serviceaccount/token": "t",
}


@dataclass(frozen=True)
class Link:
    """A symbolic link to a folder within the tree."""

    to: str


Content = str | bytes | Link | None


@cache
def _load() -> Registry:
    return load(installed=False)


def write_tree(root: Path, files: Mapping[str, Content]) -> None:
    """Write these files; None leaves one out."""
    for name, content in files.items():
        if content is None:
            continue
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            (root / content.to).mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(root / content.to)
        else:
            (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def place(machine: str) -> dict[str, Content]:
    """The GPUs of a machine on the PCI bus, half of them at each socket below a switch, and mlx5_0 at one."""
    count = 4 if machine in ("gb200-tray", "l40s") else 8
    files: dict[str, Content] = {}
    for index in range(count):
        folder = find_gpu_folder(index, count)
        files |= {f"{folder}/numa_node": str(index * 2 // count), f"{folder}/iommu_group/type": "identity"}
        files |= {f"{folder}/vendor": "0x10de", f"{folder}/class": "0x030200"}
        address = folder.rpartition("/")[2]
        files[f"sys/bus/pci/devices/{address}"] = Link(folder)
    for above in SWITCHES:
        files[f"{above}/config"] = make_config(acs=0)
        files[f"sys/bus/pci/devices/{above.rpartition('/')[2]}"] = Link(above)
    nic = f"{SWITCHES[0]}/0000:0f:00.0"
    return files | {f"{nic}/numa_node": "0", "sys/class/infiniband/mlx5_0/device": Link(nic)}


def find_gpu_folder(index: int, count: int = 8) -> str:
    """The folder of a GPU in sysfs."""
    return f"{SWITCHES[index * 2 // count]}/0000:{0x10 + index:02x}:00.0"


def make_config(acs: int) -> bytes:
    """A PCI configuration space with this ACS control."""
    capability = (0x000D | 1 << 16).to_bytes(4, "little") + bytes(2) + acs.to_bytes(2, "little")
    return bytes(0x100) + capability + bytes(0x100)


def port(device: str = "mlx5_0", **changes: str) -> dict[str, str | None]:
    """The files of a port, such as `port(state="1: DOWN")`."""
    folder = f"sys/class/infiniband/{device}/ports/1"
    return {f"{folder}/{name.replace('__', '/')}": text for name, text in {**PORT, **changes}.items()}


def pci(count: int) -> dict[str, str | None]:
    """The files of so many NVIDIA GPUs on the PCI bus."""
    folders = [f"sys/bus/pci/devices/0000:{0x10 + index:02x}:00.0" for index in range(count)]
    return {
        f"{folder}/{name}": text
        for folder in folders
        for name, text in (("vendor", "0x10de"), ("class", "0x030200"))
    }


def install(folder: Path, packages: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Install packages by this name and version; a `!` before the version leaves out the module."""
    modules = {"ai-dynamo": "dynamo", "tensorrt-llm": "tensorrt_llm", "nvidia-cuda-runtime": "nvidia"}
    for name, version in packages.items():
        info = folder / f"{name.replace('-', '_')}-{version.strip('!')}.dist-info"
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version.strip('!')}\n"
        write_tree(folder, {f"{info.name}/METADATA": text})
        if not version.startswith("!"):
            write_tree(folder, {f"{modules.get(name, name)}/__init__.py": ""})
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


def gather(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    nvml: Mapping[str, object],
    files: Mapping[str, Content],
    environment: Mapping[str, str],
    *,
    whole: bool = True,
) -> dict[type[Fact], Fact]:
    """What the probes see of a sound machine with these changes, or without the sound one of the changes."""
    load_library()
    write_machine(tmp_path / "machine.ini", machine, nvml)
    monkeypatch.setenv(MACHINE, str(tmp_path / "machine.ini"))
    root = tmp_path / "root"
    monkeypatch.setattr(counters, "GAP_S", 0)
    sound = {**SOUND, **place(machine), **port()} if whole else {}
    write_tree(root, {**sound, **files})
    source = NodeRoot(root, {"HOME": "/root", **environment})
    probes = [probe for probe in _load().probes if {*probe.sources.values()} == {NodeRoot}]
    return {probe.provides: probe(source) for probe in probes}


def judge(facts: Mapping[type[Fact], Any], request: NodeRequest) -> set[str]:
    """What the checks find: `topic outcome`."""
    known: dict[type[Fact], Any] = {**facts, NodeRequest: request}
    checks = [check for check in _load().checks if check.area == "node"]
    found = {
        check.id: list(_ask(check, known))
        for check in checks
        if all(need.fact in known for need in check.needs)
    }
    return {
        f"{check.id.removeprefix('node.')} {result.outcome if isinstance(result, Finding) else 'unjudged'}"
        for check in checks
        for result in found.get(check.id, ())
        if not _is_explained(check, result, found)
    }


def _is_explained(check: Any, result: Finding | Unjudged, found: Mapping[str, list[Any]]) -> bool:
    """Whether it is told below what another check found."""
    return any(
        isinstance(cause, Finding) and isinstance(result, Finding) and follows(cause, result)
        for name, follows in check.explained_by.items()
        for cause in found.get(name, ())
    )


def _ask(check: Any, known: Mapping[type[Fact], Any]) -> Iterator[Finding | Unjudged]:
    with suppress(Skip):
        for result in check(*(known[need.fact] for need in check.needs)) or ():
            if isinstance(result, Finding):
                wording.compare(check.id, result)
            if isinstance(result, Finding | Unjudged):
                yield result
