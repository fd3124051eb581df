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
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link keeps its own name
    for base, below in ((os.path.abspath(root), absolute), (resolve(root), resolve(path))):  # noqa: PTH100
        inside = below.removeprefix(base.rstrip(os.sep) + os.sep)
        if inside != below:
            return inside.replace(os.sep, "/")
    return absolute.replace(os.sep, "/")
