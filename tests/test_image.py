"""The image that users build with image/Containerfile, whose steps are taken here without its base image."""

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.command import LOCK, ROOT
from tests.node import layers

TEXT = (ROOT / "image" / "Containerfile").read_text()
PIP = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--quiet", "--no-deps"]


def read_steps(word: str) -> Iterator[list[str]]:
    """The words after each COPY, ENV or RUN of the first stage."""
    stage = TEXT.partition("\nFROM ")[2].partition("\nFROM ")[0]
    for line in stage.splitlines():
        if line.startswith(f"{word} "):
            yield shlex.split(line)[1:]


def build(root: Path) -> Path:
    """Take the steps of the first stage below a folder, without what comes from PyPI; give what it makes."""
    for *sources, target in read_steps("COPY"):
        for source in sources:
            into = root / target.lstrip("/")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, into, symlinks=True)
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, into)
    (command,) = read_steps("RUN")
    assert command[:4] == ["python", "-m", "pip", "install"]
    words = [str(root / word[1:]) if word.startswith("/") else word for word in command[4:]]
    environment = {**os.environ, "UV_CONSTRAINT": str(LOCK), "UV_BUILD_CONSTRAINT": str(LOCK)}
    subprocess.run([*PIP, *words], env=environment, check=True)
    return root / words[words.index("--target") + 1].removeprefix(f"{root}/")


def list_layer(path: Path) -> set[str]:
    """The files of dynocheck's own layer in the image that the tests run."""
    with tarfile.open(layers.write(path, layers.fill_dynocheck)) as layer:
        names = [member.name for member in layer if member.isfile()]
    return {name.removeprefix(f"{layers.HOME}/") for name in names}


def test_the_image_of_the_tests_holds_what_its_definition_makes(tmp_path: Path) -> None:
    made = build(tmp_path / "root")
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    files.remove(".lock")  # of uv, where the image has pip
    assert {file for file in files if ".dist-info/" not in file} == list_layer(tmp_path / "layer.tar")


def test_everything_is_pinned_and_nothing_runs_as_root() -> None:
    bases = [line.split()[1] for line in TEXT.splitlines() if line.startswith("FROM ")]
    assert len(set(bases)) == 1
    assert bases[0].partition(":")[2][:1].isdigit()
    user = TEXT.partition("\nUSER ")[2].split()[0]
    assert int(user.partition(":")[0]) > 0  # a name would not do: a kubelet cannot tell whether it is root's
