"""Layers of images: tars that are written here, of files that the tests make or that Debian and PyPI have."""

import io
import platform
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from tests.command import LOCK, ROOT
from tests.controlplane.build import cache, digest, install, lock
from tests.node import packages

HOME = "opt/dynocheck"  # where image/Containerfile puts it
_COMMANDS = ["sh", "sleep", "cat", "echo", "dd", "false", "true", "touch", "wget", "nc", "httpd"]
_SCRIPT = b"#!/usr/bin/python3\nfrom dynocheck.__main__ import main\nmain()\n"
# Of the pods of a Job the second goes wrong, as the address that it is told to measure says; the others wait.
FAULTY = b"""#!/bin/sh
case "$JOB_COMPLETION_INDEX $*" in
    "1 "*//memory:*) exec dd if=/dev/zero of=/dev/null bs=2147483647 count=1 ;;
    "1 "*//option:*) echo "error: no such option: --requests"; exit 2 ;;
esac
exec sleep 1000
"""
_FOREIGN = {"x86_64": 183, "aarch64": 62}  # by this machine, the number in ELF of the other one


def userland() -> Path:
    """Give a Debian root file system that holds Python and BusyBox. Raises AssetsUnavailable."""
    return packages.unpack("busybox-static", "python3")


def python() -> Path:
    """Give Debian with Python as a layer. This and the next keep theirs in the cache."""
    root = userland()
    return _kept(root.with_suffix(".tar"), lambda layer: layer.add(root, "."))


def dependencies() -> Path:
    """Give what dynocheck needs of PyPI as a layer, in the versions of requirements.lock."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (python,) = (userland() / "usr" / "bin").glob("python3.[0-9]*")
    version = python.name.removeprefix("python")
    key = digest("\n".join([*wanted, version, LOCK.read_text()]).encode())

    def fill(layer: tarfile.TarFile) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            folder, what = f"{scratch}/packages", "dynocheck's image"
            install(what, "venv", sys.executable, "-m", "venv", f"{scratch}/venv")
            options = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-compile"]
            options += ["--python-version", version, "--target", folder, "--constraint", str(LOCK)]
            pip = [f"{scratch}/venv/bin/python", "-m", "pip", "install"]
            install(what, "pip install", *pip, *options, *wanted)
            layer.add(folder, HOME)

    return _kept(cache() / f"dependencies-{key}.tar", fill)


def fill_busybox(layer: tarfile.TarFile) -> None:
    """BusyBox and the commands that it is."""
    layer.add(userland() / "bin" / "busybox", "bin/busybox")
    for name in _COMMANDS:
        _link(layer, f"bin/{name}", "busybox")
    _folders(layer, "tmp", "etc", "proc", "sys", "dev")


def fill_dynocheck(layer: tarfile.TarFile) -> None:
    """What the wheel holds, and the script that pip makes for it."""
    layer.dereference = True  # as in the wheel, checks and probes lie inside
    layer.add(ROOT / "dynocheck", f"{HOME}/dynocheck", filter=_source)
    put(layer, f"{HOME}/bin/dynocheck", _SCRIPT, mode=0o755)
    _folders(layer, "tmp", "proc", "sys", "dev")


def fill_faulty(layer: tarfile.TarFile) -> None:
    """A `dynocheck` that does no work."""
    put(layer, "bin/dynocheck", FAULTY, mode=0o755)


def fill_other_architecture(layer: tarfile.TarFile) -> None:
    """The header of an ELF program for a machine that this is not."""
    number = _FOREIGN[platform.machine()]
    header = b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little") + number.to_bytes(2, "little")
    put(layer, "bin/program", header + bytes(200), mode=0o755)


def _source(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    return None if "__pycache__" in member.name else member


def _folders(layer: tarfile.TarFile, *names: str) -> None:
    for name in names:
        member = tarfile.TarInfo(name)
        member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        layer.addfile(member)


def _link(layer: tarfile.TarFile, name: str, to: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, to
    layer.addfile(member)


def _kept(path: Path, fill: Callable[[tarfile.TarFile], None]) -> Path:
    with lock(path):
        if not path.exists():
            write(path.with_suffix(".new"), fill).replace(path)
    return path


def write(path: Path, fill: Callable[[tarfile.TarFile], None]) -> Path:
    """Write a layer that `fill` puts files into, and give its path."""
    with tarfile.open(path, "w") as layer:
        fill(layer)
    return path


def put(target: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """Put a file into a tar that does not hold it yet."""
    if name not in target.getnames():
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), mode
        target.addfile(member, io.BytesIO(content))
