"""Whatever a file or folder is, judging it ends soon, in little memory and in words."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.fuzz.hostile import CLAIM, MIB, TEXTS
from tests.fuzz.measure import Ended, measured

MOST_MEMORY = 500 * MIB
LIMIT_S = 5


def assert_well_behaved(ended: Ended) -> None:
    assert ended.code in range(4), ended
    assert "Traceback" not in ended.err
    assert "crashed" not in ended.out + ended.err
    assert not {c for c in ended.out + ended.err if not (c.isprintable() or c == "\n")}
    assert ended.memory < MOST_MEMORY
    assert ended.seconds < LIMIT_S


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Ended]]:
    """Each text judged as a file and as the folder that holds it."""
    root = tmp_path_factory.mktemp("hostile")
    paths = []
    for number, content in enumerate(make() for make in TEXTS.values()):
        folder = root / str(number)
        folder.mkdir()
        file = folder / "hostile.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        paths += [file, folder]
    ended = iter(measured(paths))
    return {title: [next(ended), next(ended)] for title in TEXTS}


@pytest.mark.parametrize("title", TEXTS)
def test_a_hostile_text(ends: dict[str, list[Ended]], title: str) -> None:
    for ended in ends[title]:
        assert_well_behaved(ended)


# What is no file, or is one that a link or a name makes hard to read


def broken_by(kind: str, folder: Path) -> None:
    """Put something that cannot be read where a manifest is expected."""
    file = folder / "hostile.yaml"
    match kind:
        case "device":
            file.symlink_to("/dev/zero")
        case "fifo":
            os.mkfifo(file)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(file))
        case "folder":
            file.mkdir()
        case "link to nothing":
            file.symlink_to("nowhere")
        case "link to itself":
            file.symlink_to(file)
        case "link to the folder above":
            (folder / "loop").symlink_to(folder.parent)
        case "links that multiply":
            for name in "abcdefgh":
                (folder / name).symlink_to(folder)
        case "unreadable file":
            file.write_text(CLAIM)
            file.chmod(0)
        case "process memory":
            file.symlink_to("/proc/self/mem")
        case "deep folders":
            Path(folder, *["d"] * 500).mkdir(parents=True)


KINDS = (
    "device",
    "fifo",
    "socket",
    "folder",
    "link to nothing",
    "link to itself",
    "link to the folder above",
)
KINDS += ("links that multiply", "unreadable file", "process memory", "deep folders")
NAMES = (
    "a\nb",
    "\x1b[2J",
    "[red]x[/red]",
    "\u202egnp",
    "..a",
    "-o",
    "a b",
    "%s{0}",
    "]]>",
    "é",
    "x" * 240,
    "\udcff",
)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.yaml").write_text(CLAIM)
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    broken_by(kind, Path())
    (folder,) = measured([tmp_path])
    assert_well_behaved(folder)
    if os.path.lexists("hostile.yaml") and kind not in ("folder", "unreadable file"):
        assert "hostile.yaml" in folder.out
        (file,) = measured([tmp_path / "hostile.yaml"])
        assert_well_behaved(file)
        assert file.code == 2
        assert "hostile.yaml" in file.err


def test_hostile_names(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").write_text("a: [\n")
    for ended in measured([tmp_path, *(tmp_path / name for name in NAMES)]):
        assert_well_behaved(ended)
        assert ended.code == 1
