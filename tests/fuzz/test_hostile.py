"""Whatever a file or folder is, judging it ends soon, in little memory and in words."""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.fuzz.hostile import CLAIM, MIB, TEXTS
from tests.fuzz.measure import PathResult, measure_paths

MOST_MEMORY = 500 * MIB
LIMIT_S = 5
# Seconds each, all of them many harmless things: `make verify` judges them.
LONG = ("many components", "many documents", "many keys", "many scripts", "many unknown fields")


def assert_well_behaved(end: PathResult) -> None:
    assert end.code in range(4), end
    assert "Traceback" not in end.err
    assert "crashed" not in end.out + end.err
    assert not {c for c in end.out + end.err if not (c.isprintable() or c == "\n")}
    assert end.memory < MOST_MEMORY
    assert end.seconds < LIMIT_S


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PathResult]:
    """How judging the folder of each text ended, but for the long ones."""
    return ended(tmp_path_factory.mktemp("hostile"), [title for title in TEXTS if title not in LONG])


def ended(root: Path, titles: Sequence[str]) -> dict[str, PathResult]:
    folders = [root / str(number) for number in range(len(titles))]
    for folder, title in zip(folders, titles, strict=True):
        folder.mkdir()
        content = TEXTS[title]()
        (folder / "hostile.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    return dict(zip(titles, measure_paths(folders), strict=True))


@pytest.mark.parametrize("title", [title for title in TEXTS if title not in LONG])
def test_a_hostile_text(ends: dict[str, PathResult], title: str) -> None:
    assert_well_behaved(ends[title])


@pytest.mark.verify
@pytest.mark.parametrize("title", LONG)
def test_a_long_text(tmp_path: Path, title: str) -> None:
    assert_well_behaved(ended(tmp_path, [title])[title])


# What is no file, or is one that a link or a name makes hard to read


def listen(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(file))


def guard(file: Path) -> None:
    file.write_text(CLAIM)
    file.chmod(0)


def multiply(file: Path) -> None:
    for name in "abcdefgh":
        file.with_name(name).symlink_to(".")


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "device": lambda file: file.symlink_to("/dev/zero"),
    "fifo": os.mkfifo,
    "socket": listen,
    "link to nothing": lambda file: file.symlink_to("nowhere"),
    "link to itself": lambda file: file.symlink_to(file),
    "memory of the process": lambda file: file.symlink_to("/proc/self/mem"),
}
READABLE: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "file without rights": guard,
    "link to the folder above": lambda file: file.symlink_to(".."),
    "links that multiply": multiply,
    "deep folders": lambda file: Path(file.with_name("d"), *["d"] * 500).mkdir(parents=True),
}
NAMES = (
    *("a\nb", "\x1b[2J", "[red]x[bold]", "\u202egnp", "..a", "-o", "a b", "%s{0}", "]]>", "é"),
    *("\udcff", "x" * 240),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that is sound, and the current folder, in which the name of a socket is short enough."""
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    monkeypatch.chdir(recipe)
    (recipe / "good.yaml").write_text(CLAIM)
    return recipe


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read(folder: Path, kind: str) -> None:
    UNREADABLE[kind](Path("hostile.yaml"))
    of_folder, of_file = measure_paths([folder, folder / "hostile.yaml"])
    assert_well_behaved(of_folder)
    assert_well_behaved(of_file)
    assert "hostile.yaml" in of_folder.out
    assert of_file.code == 2
    assert "hostile.yaml" in of_file.err


@pytest.mark.parametrize("kind", READABLE)
def test_a_strange_folder(folder: Path, kind: str) -> None:
    READABLE[kind](Path("hostile.yaml"))
    assert_well_behaved(*measure_paths([folder]))


def test_hostile_names(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").write_text("a: [\n")
    for ended in measure_paths([tmp_path, *(tmp_path / name for name in NAMES)]):
        assert_well_behaved(ended)
        assert ended.code == 1
