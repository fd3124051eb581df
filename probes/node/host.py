"""Memory, limits and the kernel log of the machine or container."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeHost, NodeKernelLog, NodeRoot
from dynocheck.probes.node._sysfs import read

_IPC_LOCK = 1 << 14  # CAP_IPC_LOCK of linux/capability.h
_SIGNS = (".dockerenv", "run/.containerenv", "var/run/secrets/kubernetes.io/serviceaccount")
_SHM = "/dev/shm"  # noqa: S108
_SHM_SIZE = re.compile(r"size=(\d+)([kmg]?)")
# With the instance of MIG after the address, and in older drivers without PCI before it
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]{1,20})(?: GPU-I:\d{1,3})?\): (\d{1,4})")
# Of NVLink 5: the unit, how severe it is, the link, and the first of the registers
_DETAILS = re.compile(
    r"NVRM: Xid \(PCI:([0-9a-fA-F:.]{1,20})\): (14[4-9]|150), ([^\n(]{1,120}\(0x[0-9a-fA-F]{1,8})"
)
_LOG_BYTES = 8 << 20
_UNIT = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@probe()
def node_host(root: NodeRoot) -> NodeHost:
    reader = _Reader(root.path)
    limits, status = reader.read("proc/self/limits"), reader.read("proc/self/status")
    signs = sum((root.path / sign).exists() for sign in _SIGNS)
    pod = "KUBERNETES_SERVICE_HOST" in root.environment
    memory = re.search(r"MemTotal: +(\d+) kB", reader.read("proc/meminfo"))
    capabilities = re.search(r"CapEff:\s([0-9a-f]+)", status)
    return NodeHost(
        container=pod or signs >= 2,  # one file alone is found on plain machines too
        shm_mib=_find_shm(root.path, reader.read("proc/mounts")),
        memory_mib=int(memory[1]) >> 10 if memory else None,
        cgroup_memory_mib=_to_mib(reader.read_limit("memory.max", "memory/memory.limit_in_bytes")),
        cgroup_used_mib=_to_mib(_find_used(reader)),
        oom_kills=_find_count(reader.read_cgroup("memory.events", "memory/memory.oom_control"), "oom_kill"),
        huge_pages_free_mib=_find_huge_pages(root.path),
        cgroup_cpus=_find_cpus(reader),
        cgroup_pids=reader.read_limit("pids.max", "pids/pids.max"),
        memlock=_find_limit(limits, "locked memory"),
        ipc_lock=bool(capabilities and int(capabilities[1], 16) & _IPC_LOCK),
        processes=_find_limit(limits, "processes"),
        nofile=_find_limit(limits, "open files"),
        unread=tuple(reader.unread),
    )


@probe()
def node_kernel_log(root: NodeRoot) -> NodeKernelLog:
    try:
        file = os.open(root.path / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return NodeKernelLog(unread=f"/dev/kmsg: {error.strerror}")
    content = b""
    try:
        while len(content) < _LOG_BYTES and (record := os.read(file, 1 << 16)):
            content += record
    except BlockingIOError:
        pass  # the end of what the kernel has
    except OSError as error:
        if not content:
            return NodeKernelLog(unread=f"/dev/kmsg: {error.strerror}")
    finally:
        os.close(file)
    text = content.decode(errors="replace")
    return NodeKernelLog(
        xids=tuple((bus.lower(), int(code)) for bus, code in _XID.findall(text)),
        details=tuple((bus.lower(), int(code), detail) for bus, code, detail in _DETAILS.findall(text)),
    )


class _Reader:
    """Reads small files under a root, and remembers which it could not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unread: list[str] = []
        self._groups = read(root / "proc/self/cgroup")

    def read(self, name: str) -> str:
        try:
            return (self.root / name).read_text(errors="replace")
        except OSError:
            self.unread.append(f"/{name}")
            return ""

    def read_limit(self, *names: str) -> int | None:
        """The least limit of the cgroup and those above it, in v2 or v1; None is none."""
        texts = [read(place) for name in names for place in self._list_places(name)]
        return min((int(text) for text in texts if text.isdigit() and int(text) < 1 << 60), default=None)

    def read_cgroup(self, *names: str) -> str:
        """The first of these files of the cgroup that is there, empty without one."""
        return next(filter(None, (read(place) for name in names for place in self._list_places(name))), "")

    def _list_places(self, name: str) -> Iterator[Path]:
        """Where a file of the cgroup may be, the nearest first. In a container it is at the top."""
        controller, _, file = name.rpartition("/")
        top = self.root / "sys/fs/cgroup" / controller
        own = re.search(rf"\d:(?:[\w,]{{1,80}},)?{controller}[\w,]{{0,80}}:/(\S{{1,400}})", self._groups)
        path = Path(own[1]) if own and ".." not in own[1] else Path()
        yield from (top / place / file for place in (path, *path.parents) if place != Path())
        yield top / file


def _find_used(reader: _Reader) -> int | None:
    """The memory that counts toward the limit, without what the kernel can drop."""
    used = reader.read_cgroup("memory.current", "memory/memory.usage_in_bytes")
    statistics = reader.read_cgroup("memory.stat", "memory/memory.stat")
    dropped = _find_count(statistics, "total_inactive_file") or _find_count(statistics, "inactive_file")
    return max(0, int(used) - dropped) if used.isdigit() else None


def _find_cpus(reader: _Reader) -> float | None:
    """As how many CPUs' time the cgroup may use; None without a limit."""
    texts = reader.read_cgroup("cpu.max").split() or [
        reader.read_cgroup(f"cpu/cpu.cfs_{name}_us") for name in ("quota", "period")
    ]
    if len(texts) != 2 or not all(text.isdigit() and int(text) for text in texts):
        return None
    return round(int(texts[0]) / int(texts[1]), 1)


def _find_count(text: str, name: str) -> int:
    """The number on the line of this name, 0 without one."""
    found = re.search(rf"(?:^|\n){name} (\d+)", text)
    return int(found[1]) if found else 0


def _find_huge_pages(root: Path) -> int:
    """The MiB of reserved huge pages of every size that nobody uses."""
    folders = root.glob("sys/kernel/mm/hugepages/hugepages-*kB")
    sizes = ((folder.name[10:-2], read(folder / "free_hugepages")) for folder in folders)
    return sum(int(size) * int(free) for size, free in sizes if size.isdigit() and free.isdigit()) >> 10


def _find_limit(limits: str, name: str) -> int | None:
    found = re.search(rf"Max {name} +(\S+)", limits)
    return int(found[1]) if found and found[1].isdigit() else None


def _find_shm(root: Path, mounts: str) -> int | None:
    """The size of /dev/shm in MiB: by its mount options, else by the file system."""
    lines = [line.split() for line in mounts.splitlines()]
    options = next((words[3] for words in reversed(lines) if len(words) > 3 and words[1] == _SHM), None)
    if options is None:
        return None
    if size := _SHM_SIZE.search(options):
        return int(size[1]) * _UNIT[size[2]] >> 20
    try:
        status = os.statvfs(root / "dev/shm")
    except OSError:
        return None
    return status.f_blocks * status.f_frsize >> 20


def _to_mib(size: int | None) -> int | None:
    return None if size is None else size >> 20
