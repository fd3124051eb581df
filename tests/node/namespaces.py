"""A machine within this one: network, mounts, processes and control groups of its own.

Nothing of the machine is changed but for a control group in each hierarchy, which the keeper of
`tests.controlplane.processes` removes, and all else ends with the first process in the namespaces.
"""

import ctypes
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.controlplane.build import AssetsUnavailable
from tests.controlplane.processes import Processes
from tests.controlplane.server import SERVICES

GATEWAY = "10.244.0.1"  # the address of the machine within, on the bridge of its pods
BRIDGE = "cni0"
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_CLONE_NEWNET = 0x40000000
_KINDS = ("mount", "net", "pid", "cgroup", "ipc", "uts")

# To make the namespaces, and what a runtime gives every container by default.
_CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "SYS_ADMIN": 21,
    "MKNOD": 27,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}

# What a kubelet wants of the kernel. It is the machine's, so the kubelet is shown that it has it.
_KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


class Namespaces:
    """The namespaces, from their making to the end of `processes`.

    :raises AssetsUnavailable: this process may not make them; the message says what is missing.
    """

    def __init__(self, processes: Processes, name: str) -> None:
        _check_rights()
        self._processes, self._folder = processes, processes.folder
        found = (path.parent for path in _CONTROL_GROUPS.glob("*/release_agent"))
        self._hierarchies = sorted(path.name for path in found if not path.is_symlink())
        self._groups = [_CONTROL_GROUPS / each / self._folder.name for each in self._hierarchies]
        for group in self._groups:
            processes.adopt(group)
            _make(group)
        first = self._joining(*_unshare(), "/bin/sh", "-ec", self._first(name))
        ready = self._folder / "ready"
        processes.serve("namespaces", lambda _: first, lambda _: ready.exists())
        self._pid = int((self._folder / "pid").read_text())

    def command(self, *words: str) -> list[str]:
        """Give the command line that runs this one inside."""
        kinds = [f"--{kind}" for kind in _KINDS]
        return self._joining("nsenter", "--target", str(self._pid), *kinds, "--", *words)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Let this thread, and what it starts, be in the network of the machine within."""
        with Path("/proc/thread-self/ns/net").open() as before:
            _enter(Path(f"/proc/{self._pid}/ns/net"))
            try:
                yield
            finally:
                _set(before.fileno())

    def _joining(self, *words: str) -> list[str]:
        """The command line, as a member of the control groups."""
        join = "".join(f"echo $$ > {group}/cgroup.procs; " for group in self._groups)
        return ["/bin/sh", "-ec", f'{join} exec "$@"', "sh", *words]

    def _first(self, name: str) -> str:
        """The script of the first process inside, which then sleeps; the kernel buries its children."""
        folder = shlex.quote(str(self._folder))
        groups = "\n".join(
            f"umount {at}; mount -t cgroup -o {kind} cgroup {at}" for at, kind in self._mounts()
        )
        kernel = "\n".join(f"mount --bind {shlex.quote(str(a))} {b}" for a, b in self._write_kernel())
        return f"""
            read pid rest < /proc/self/stat; echo $pid > {folder}/pid
            mount -t proc proc /proc
            hostname {name}
            for each in /run /var/lib /var/log; do mount -t tmpfs tmpfs $each; done
            {groups}
            {kernel}
            ip link set lo up
            ip link add {BRIDGE} type bridge
            ip addr add {GATEWAY}/24 dev {BRIDGE}
            ip link set {BRIDGE} up
            ip route add {SERVICES} dev {BRIDGE}
            echo 1 > /proc/sys/net/ipv4/ip_forward
            trap '' CHLD
            touch {folder}/ready
            exec sleep 2147483647
        """

    def _mounts(self) -> list[tuple[Path, str]]:
        """Each hierarchy, and how it is mounted so that the control group of the node is its root."""
        kinds = {"systemd": "none,name=systemd"}
        return [(_CONTROL_GROUPS / each, kinds.get(each, each)) for each in self._hierarchies]

    def _write_kernel(self) -> Iterator[tuple[Path, str]]:
        """Write the settings of _KERNEL into files; give each file, and where it is shown."""
        for path, value in _KERNEL.items():
            file = self._folder / path.replace("/", ".")
            file.write_text(f"{value}\n")
            yield file, f"/proc/sys/{path}"


def _unshare() -> Sequence[str]:
    kinds = [f"--{kind}" for kind in _KINDS]
    return ["unshare", *kinds, "--propagation", "private", "--fork", "--kill-child"]


def _make(group: Path) -> None:
    try:
        group.mkdir()
    except OSError as error:
        raise AssetsUnavailable(f"a node needs control groups in {group.parent}: {error.strerror}") from None
    for file in ("cpuset.cpus", "cpuset.mems"):  # a new one has none, and then takes no process
        if (group / file).exists():
            (group / file).write_text((group.parent / file).read_text())


def _check_rights() -> None:
    if os.geteuid():
        raise AssetsUnavailable("a node needs root, for namespaces, mounts and control groups")
    if missing := [program for program in ("ip", "nsenter", "unshare") if shutil.which(program) is None]:
        raise AssetsUnavailable(f"a node needs {', '.join(missing)}, of iproute2 and util-linux, on PATH")
    held = int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16)
    if missing := [f"CAP_{name}" for name, bit in _CAPABILITIES.items() if not held >> bit & 1]:
        raise AssetsUnavailable(f"a node needs {', '.join(missing)}, which root lacks here")
    if not (_CONTROL_GROUPS / "memory" / "release_agent").exists():
        raise AssetsUnavailable(f"a node needs the hierarchies of cgroup v1 at {_CONTROL_GROUPS}")


def _enter(namespace: Path) -> None:
    with namespace.open() as file:
        _set(file.fileno())


def _set(descriptor: int) -> None:
    # os.setns came with Python 3.12.
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
