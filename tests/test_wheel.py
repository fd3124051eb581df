"""What users install: the wheel, in an environment of its own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.command import LOCK, ROOT
from tests.test_cli import VERBS

EMPTY = {"PATH": "/usr/bin:/bin", "COLUMNS": "80"}
LOCKED = {**os.environ, "PIP_CONSTRAINT": str(LOCK)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made of the source distribution as an index would have it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, env=LOCKED, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, env=LOCKED, check=True)
    return folder / "bin"


def run(environment: Path, cwd: Path, *arguments: str) -> str:
    """What a command that ends well prints."""
    command = [str(environment / "dynocheck"), *arguments]
    done = subprocess.run(command, cwd=cwd, env=EMPTY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_what_it_should(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.partition("/")[0] for name in names}
    assert len(roots) == 2, "nothing of a general name lands in site-packages"
    for wanted in (
        *("dynocheck/py.typed", "dynocheck/checks/storage/classes.py", "dynocheck/probes/storage/classes.py"),
        *("dynocheck/data/schemas.json", "dynocheck/data/demo.json"),
        *("dynocheck/reports/page.css", "dynocheck/recipes/deepseek-r1/sglang/disagg-8gpu/deploy.yaml"),
    ):
        assert names.count(wanted) == 1, wanted


def test_it_works_far_from_its_source(environment: Path, tmp_path: Path) -> None:
    for verb in VERBS:
        assert run(environment, tmp_path, verb, "--help").startswith(f"Usage: dynocheck {verb}")
    assert "gpu.allocatable" in run(environment, tmp_path, "demo")
    assert "platform.crds" in run(environment, tmp_path, "checks")
    assert "<testsuite" in run(environment, tmp_path, "recipe", str(ROOT / "recipes"), "-o", "junit")
