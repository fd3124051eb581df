"""What the judged tree may decide about its own verdict: it adds and refines, and is always reported.

A pull request writes the tree. What only the operator may do is to load code, and to silence the checks of
PROTECTED: on the command line, in the file of --config or in the user's own configuration.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dynocheck.core.config_files import list_folders
from dynocheck.core.errors import UsageError

PROTECTED = "security"  # the area of checks that the tree cannot silence
ONLY_OPERATOR = "only the operator's own configuration can silence it"


@dataclass(frozen=True)
class Trust:
    """Which silencing of a run counts.

    :param roots: real paths of the judged trees: the git repositories, or else the folders, of the paths.
    :param isolated: leave out everything that lies in them.
    :param allowed: ids, areas or globs of protected checks that the tree may silence all the same.
    """

    roots: tuple[str, ...] = ()
    isolated: bool = False
    allowed: tuple[str, ...] = ()

    def contains(self, path: str) -> bool:
        """Whether a file or folder lies in a judged tree."""
        real = os.path.realpath(path)
        return any(real == root or real.startswith(f"{root.rstrip('/')}/") for root in self.roots)

    def protects(self, check: str) -> bool:
        """Whether the tree cannot silence a check."""
        area = check.partition(".")[0]
        return area == PROTECTED and not any(fnmatchcase(n, p) for n in (check, area) for p in self.allowed)

    def require_outside(self, option: str, paths: Iterable[str | None]) -> None:
        """Require that --isolated leaves none of these files out.

        :raises UsageError: one lies in a judged tree.
        """
        for path in filter(None, paths) if self.isolated else ():
            if self.contains(path):
                raise UsageError(f"{option} {path}: in the judged tree, which --isolated leaves out")


def find_roots(judged: Iterable[str]) -> tuple[str, ...]:
    """The roots of the trees that these paths lie in."""
    roots = [str(folder) for path in judged for folder in list_folders(path)[:1]]
    return tuple(dict.fromkeys(roots))
