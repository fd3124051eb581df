"""Paths of files that findings are about."""

import os


def resolve(path: str) -> str:
    """The absolute path without links; of a path that no file can have, the absolute path."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return os.path.abspath(path)  # noqa: PTH100


def relate(path: str, root: str) -> str:
    """A path from the root, with slashes; its absolute path when it is not below it.

    :param root: the working folder when it is empty.
    """
    inside = _cut_root(os.path.abspath(path), os.path.abspath(root))  # noqa: PTH100 - a link keeps its own name
    inside = inside or _cut_root(resolve(path), resolve(root))
    return (inside or os.path.abspath(path)).replace(os.sep, "/")  # noqa: PTH100


def _cut_root(path: str, root: str) -> str | None:
    """The path below the root; None when it is not there."""
    start = root.rstrip(os.sep) + os.sep
    return path.removeprefix(start) if path.startswith(start) else None
