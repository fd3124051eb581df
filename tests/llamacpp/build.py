"""Installs llama.cpp's server and a model for it, once: 200 MB and seconds.

    python -m tests.llamacpp.build

The server comes built, as a Python package; the model is made of random weights.
"""

import sys
from pathlib import Path

from tests.controlplane.build import cache, install, lock, say, this_platform

VERSION = "2026.10.11549"
_GGUF = "0.19.0"
_WHAT = f"llama.cpp (xllamacpp {VERSION})"


def home() -> Path:
    """Give the folder of its virtual environment and of model.gguf; make them if they are not there yet.

    :raises AssetsUnavailable: they cannot be had here.
    """
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"llamacpp-{VERSION}-py{running}-{this_platform()}"
    with lock(folder):
        if not (folder / "model.gguf").exists():
            _make(folder)
    return folder


def _make(folder: Path) -> None:
    say(f"installing {_WHAT} from PyPI (once, 200 MB) ...")
    python = str(folder / "bin" / "python")
    install(_WHAT, "venv", sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--only-binary", ":all:")
    install(_WHAT, "pip install", *pip, f"xllamacpp=={VERSION}", f"gguf=={_GGUF}")
    made = folder / "model.part"
    install(_WHAT, "model", python, str(Path(__file__).with_name("model.py")), str(made))
    made.replace(folder / "model.gguf")


if __name__ == "__main__":
    print(home())
