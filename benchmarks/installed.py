"""dynocheck as its users have it: a wheel in an environment of its own, compiled when it is installed."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent


@contextmanager
def create_environment() -> Iterator[Path]:
    """Give the `bin` folder of such an environment, which lasts as long as the block.

    :raises subprocess.CalledProcessError: the wheel cannot be made or installed.
    """
    with tempfile.TemporaryDirectory(prefix="dynocheck-installed-") as folder:
        bin_ = Path(folder) / "bin"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [str(bin_ / "pip"), "install", "--quiet", "--disable-pip-version-check", str(ROOT)]
        subprocess.run(install, check=True)
        yield bin_
