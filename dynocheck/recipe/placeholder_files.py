"""Finds files without their contents: Git LFS pointers, dangling links, empty files.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

_POINTER = b"version https://git-lfs.github.com/spec/v1"


def find_placeholder_files(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The placeholder files of a folder, each with the reason: pointer, dangling or empty.

    Hidden files are skipped, and so are unreadable ones, which are reported elsewhere.
    """
    for name in names:
        if name[0] != "." and (why := _classify(folder / name)):
            yield name, why


def _classify(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as stream:
            head = stream.read(len(_POINTER))
    except FileNotFoundError:
        return "dangling"
    except OSError:
        return None
    if head == _POINTER:
        return "pointer"
    return None if head else "empty"
