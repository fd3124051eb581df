"""What the CI server that runs dynocheck wants of reports, by the variables that it sets."""

import os
from collections.abc import Sequence
from pathlib import Path

from dynocheck.core.config_files import list_folders


def find_root(judged: Sequence[str]) -> str:
    """The root of the repository, from which code hosts name files.

    That is the checkout of the CI server, or the git repository of the judged paths or the working folder.
    """
    checkout = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    folders = [folder for path in (*judged, ".") for folder in list_folders(path)[:1]]
    repositories = [folder for folder in folders if os.path.lexists(folder / ".git")]
    if checkout and (not repositories or os.path.lexists(Path(checkout) / ".git")):
        return checkout
    return str(next(iter(repositories), Path.cwd()))


def reads_places() -> bool:
    """Whether readers of this CI server look for the place of a JUnit case."""
    return any(os.environ.get(name) for name in ("GITHUB_ACTIONS", "GITLAB_CI"))
