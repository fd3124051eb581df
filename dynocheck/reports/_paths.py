"""Paths as the readers of reports in CI want them: from the root of the repository."""

import os
from pathlib import Path


def relate(file: str, root: str) -> str:
    """The path of a file from the root, with slashes; its absolute path when it is not below it.

    :param root: the working folder when it is empty.
    """
    path = Path(os.path.abspath(file))  # noqa: PTH100 - a link keeps its own name
    for base, below in ((os.path.abspath(root), path), (os.path.realpath(root), path.resolve())):  # noqa: PTH100
        if below.is_relative_to(base):
            return below.relative_to(base).as_posix()
    return path.as_posix()
