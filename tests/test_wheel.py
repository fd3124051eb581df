"""What users install: the wheel in an environment of its own; and the source distribution it is made of."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.command import LOCK, ROOT
from tests.test_cli import VERBS

EMPTY = {"PATH": "/usr/bin:/bin", "COLUMNS": "80"}
UV = [sys.executable, "-m", "uv"]
LOCKED = {**os.environ, "UV_BUILD_CONSTRAINT": str(LOCK), "UV_CONSTRAINT": str(LOCK)}


def build(source: Path, folder: Path, option: str) -> tuple[Path, Path]:
    """The source distribution of a source tree, and the wheel that is made of it."""
    command = [sys.executable, "-m", "build", option, "--outdir", str(folder), str(source)]
    done = subprocess.run(command, env=LOCKED, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return archive, wheel


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(ROOT, tmp_path_factory.mktemp("dist"), "--installer=uv")


@pytest.fixture(scope="module")
def wheel(distributions: tuple[Path, Path]) -> Path:
    return distributions[1]


@pytest.fixture(scope="module")
def unpacked(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(distributions[0]) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([*UV, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    install = [*UV, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), str(wheel)]
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


def test_it_lists_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if "/sboms/" in name)
        bill = json.loads(archive.read(name))
    listed = {f"{part['name']}=={part['version']}" for part in bill["components"]}
    locked = {line.partition(";")[0].strip() for line in LOCK.read_text().splitlines()}
    assert {"click", "kubernetes", "msgspec"} <= {part.partition("==")[0] for part in listed}
    assert listed <= locked, "make sbom"


def test_builds_are_the_same_byte_for_byte(
    distributions: tuple[Path, Path], unpacked: Path, tmp_path: Path
) -> None:
    again = build(unpacked, tmp_path, "--no-isolation")
    assert [each.read_bytes() for each in again] == [each.read_bytes() for each in distributions]


def test_the_source_distribution_passes_its_own_tests(unpacked: Path) -> None:
    sample = ["tests/schema/test_validation.py", "tests/reports/test_junit.py", "tests/recipe/test_starts.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *sample]
    done = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_it_works_far_from_its_source(environment: Path, tmp_path: Path) -> None:
    told = run(environment, tmp_path, "--help")
    assert [verb for verb in VERBS if f"  {verb} " not in told] == []
    assert "gpu.allocatable" in run(environment, tmp_path, "demo")
    assert "platform.crds" in run(environment, tmp_path, "checks")
    assert "<testsuite" in run(environment, tmp_path, "recipe", str(ROOT / "recipes"), "-o", "junit")
