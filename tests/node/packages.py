"""Debian packages, unpacked beside the machine's own: nothing is installed and nothing is started."""

import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.controlplane.build import AssetsUnavailable, cache, digest, install, lock, say, this_platform


def unpack(*names: str, without: str | None = None) -> Path:
    """Give a folder that holds these packages and all that they depend on, as a root file system holds them.

    :param without: a package whose files are those of the machine, such as libc6 for programs that run on it.
    :raises AssetsUnavailable: this is no Debian, or its mirror cannot be reached.
    """
    release = _release()
    folder = cache() / f"debian-{release}-{this_platform()}-{digest(repr((names, without)).encode())}"
    with lock(folder):
        if not folder.exists():
            say(f"unpacking {' '.join(names)} from Debian ...")
            _make(folder, names, without)
    return folder


def libraries(folder: Path) -> Path:
    """Give where the shared libraries of an unpacked folder lie."""
    return folder / "usr" / "lib" / f"{platform.machine()}-linux-gnu"


def _make(folder: Path, names: tuple[str, ...], without: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="debian-") as name:
        scratch = Path(name)
        for path in ("state/lists/partial", "cache/archives/partial", "root"):
            (scratch / path).mkdir(parents=True)
        (scratch / "status").touch()  # with nothing installed, apt names every dependency
        places = {"State": scratch / "state", "Cache": scratch / "cache", "State::status": scratch / "status"}
        options = [f"-oDir::{place}={path}" for place, path in places.items()]
        apt = ["apt-get", "-qq", "-y", "-oAPT::Sandbox::User=root", "-oDebug::NoLocking=1", *options]
        download = ["install", "--no-install-recommends", "--download-only", *names]
        install("Debian's packages", "apt-get update", *apt, "update")
        install("Debian's packages", "apt-get install", *apt, *download)
        for archive in sorted((scratch / "cache" / "archives").glob("*.deb")):
            if archive.name.partition("_")[0] != without:
                subprocess.run(["dpkg-deb", "-x", archive, scratch / "root"], check=True)
        _choose_alternatives(scratch / "root" / "usr" / "sbin")
        (scratch / "root").rename(folder)


def _choose_alternatives(programs: Path) -> None:
    """Give iptables its names, which an installation does after unpacking."""
    for path in programs.glob("ip*tables-nft*"):
        (programs / path.name.replace("-nft", "")).symlink_to(path.name)


def _release() -> str:
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise AssetsUnavailable(f"a node needs Debian's packages, and {program} is not on PATH")
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    return found[1] if found else "unnamed"
