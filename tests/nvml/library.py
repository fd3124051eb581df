"""Builds the NVML of the tests and loads it, so that nvidia-ml-py finds it in this process."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MACHINES = FOLDER / "machines"
MACHINE = "DYNOCHECK_NVML"  # names the file that the library plays
_NAME = "libnvidia-ml.so.1"


@cache
def build_library() -> Path:
    """The built library. Without a C compiler the test is skipped, in CI it fails."""
    compiler = shutil.which("cc")
    if compiler is None:
        end = pytest.fail if os.environ.get("CI") or os.environ.get("DYNOCHECK_NODE") else pytest.skip
        end("needs a C compiler, for example: apt-get install gcc libc6-dev")
    source = FOLDER / "nvml.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"dynocheck-nvml-{os.getuid()}-{digest}"
    library = folder / _NAME
    if not library.exists():
        folder.mkdir(mode=0o700, exist_ok=True)
        built = folder / f"{_NAME}.{os.getpid()}"
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-Wl,-soname,{_NAME}"]
        subprocess.run([compiler, *flags, "-o", built, source], check=True)
        built.replace(library)  # another worker may build it at the same time
    return library


@cache
def load_library() -> None:
    """Load it. What opens libnvidia-ml.so.1 in this process gets it from now on."""
    ctypes.CDLL(str(build_library()))


def write_machine(path: Path, machine: str, changes: Mapping[str, object]) -> None:
    """A description of this machine with these values changed; `gpu.3.width` is that of GPU 3."""
    lines = [f"{key} = {value}\n" for key, value in changes.items()]
    path.write_text((MACHINES / f"{machine}.ini").read_text() + "".join(lines))
