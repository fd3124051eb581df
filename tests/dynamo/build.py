"""Installs Dynamo, and makes the model that its mocker engine plays, once for all tests.

    python -m tests.dynamo.build

Both lie in the cache of `tests.controlplane.build`, in an environment of their own: Dynamo pins what
dynocheck leaves free.
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.command import LOCK
from tests.controlplane.build import cache, install, lock, report, say, this_platform

_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
VERSION = _REQUIREMENTS.read_text().partition("ai-dynamo-runtime==")[2].split()[0]
_WHAT = f"Dynamo {VERSION}"

_RUNTIME = ["--requirement", str(_REQUIREMENTS), "--constraint", str(LOCK)]
# Without its dependencies: the engines are among them, and one downloads from elsewhere.
_DYNAMO = ["--no-deps", f"ai-dynamo=={VERSION}"]
_MODEL = Path(__file__).with_name("model.py")


class Home(NamedTuple):
    """Where Dynamo is: the Python that has it, and the folder of the model."""

    python: Path
    model: Path


def home() -> Home:
    """Give the installation, and make it if it is not there yet.

    :raises Unavailable: it cannot be had here.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"dynamo-{VERSION}-py{python}-{this_platform()}"
    made = Home(folder / "bin" / "python", folder / "model")
    with lock(folder):
        if not (made.model / "done").exists():
            _make(folder, made)
    return made


def _make(folder: Path, made: Home) -> None:
    say(f"installing Dynamo {VERSION} from PyPI (once, 350 MB) ...")
    started = time.monotonic()
    # An environment knows its own path: it is made where it stays, and is whole once `done` is there.
    install(_WHAT, "venv", sys.executable, "-m", "venv", "--clear", str(folder))
    for packages in (_RUNTIME, _DYNAMO):
        quietly = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        install(_WHAT, "pip install", str(made.python), "-m", "pip", "install", *quietly, *packages)
    made.model.mkdir()
    install(_WHAT, "the model", str(made.python), str(_MODEL), str(made.model))
    (made.model / "done").touch()
    say(f"installed Dynamo {VERSION} in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    sys.exit(report("Dynamo", lambda: home().python))
