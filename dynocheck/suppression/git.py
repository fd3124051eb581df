"""Reads a git repository: the lines that changed since a revision, and the files of that revision.

The git command is called for reading only: no lock, no checkout. Paths and revisions are passed as literal
arguments.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from dynocheck.core.errors import UsageError

_HUNK = re.compile(rb"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_PATCH = re.compile(rb"^diff --", re.MULTILINE)
_ENTRY = re.compile(r"(\d+) blob ([0-9a-f]+) +(\d+)\t(.+)", re.DOTALL)
_LINK = "120000"
_MAX_BYTES = 10 * 1024 * 1024  # no manifest is larger
_ENVIRONMENT = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"}
_DIFF = ("diff", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules")


@dataclass(frozen=True)
class GitChanges:
    """The changes below some paths of a repository since a commit.

    :param top: the root of the repository.
    :param paths: relative to the root; the empty path is all of it.
    :param surroundings: paths whose old files are restored too, and whose changes are not listed.
    """

    top: Path
    commit: str
    paths: tuple[str, ...]
    surroundings: tuple[str, ...] = field(default=())

    @cached_property
    def lines(self) -> dict[str, set[int] | None]:
        """The changed lines by the real path of each changed file; None for all lines of a new file.

        Where lines were deleted, the lines around the gap count as changed.
        """
        names = _split_names(self._run_git(*_DIFF, "--name-only", "-z", self.commit, "--", *self.paths))
        patches = _PATCH.split(self._run_git(*_DIFF, "-U0", self.commit, "--", *self.paths))[1:]
        changed: dict[str, set[int] | None] = dict.fromkeys(names)
        if len(names) == len(patches):  # they differ during a merge: then every line counts
            changed = {name: _parse_patch(patch) for name, patch in zip(names, patches, strict=True)}
        new = _split_names(
            self._run_git("ls-files", "--others", "--exclude-standard", "-z", "--", *self.paths)
        )
        changed |= dict.fromkeys(new)
        return {os.path.realpath(self.top / name): lines for name, lines in changed.items()}

    def restore(self, folder: Path) -> None:
        """Write the files of that commit below a folder."""
        named = [path for path in (*self.paths, *self.surroundings) if path]
        selected = [] if "" in self.paths else named
        listed = _split_names(
            self._run_git("ls-tree", "-r", "-l", "-z", "--full-tree", self.commit, "--", *selected)
        )
        entries = [match.groups() for line in listed if (match := _ENTRY.fullmatch(line))]
        kept = [
            (mode, sha, name)
            for mode, sha, size, name in entries
            if int(size) <= _MAX_BYTES and _is_safe_name(name)
        ]
        kept.sort(key=lambda entry: entry[0] == _LINK)  # links last, so that nothing is written through them
        for (mode, _, name), content in zip(
            kept, self._read_contents([sha for _, sha, _ in kept]), strict=True
        ):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if mode == _LINK:
                target.symlink_to(os.fsdecode(content))
            else:
                target.write_bytes(content)

    def _read_contents(self, shas: Sequence[str]) -> Iterator[bytes]:
        output = self._run_git("cat-file", "--batch", stdin="".join(f"{sha}\n" for sha in shas).encode())
        start = 0
        for _ in shas:
            head = output.index(b"\n", start)
            size = int(output[start:head].rsplit(b" ", 1)[1])
            yield output[head + 1 : head + 1 + size]
            start = head + 2 + size

    def _run_git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return _run_git(self.top, *arguments, stdin=stdin)


def find_changes(revision: str, paths: Sequence[str], surroundings: str = "") -> GitChanges:
    """The changes below these paths since a revision.

    :param surroundings: the name of a folder whose old files are restored too, beside any parent of a path.
    :raises UsageError: git is not installed, the paths are in no repository, or it lacks the revision.
    """
    if not paths:
        raise UsageError("--diff: no recipe path given")
    real = [Path(os.path.realpath(path)) for path in paths]
    tops = {_find_toplevel(path, revision) for path in real}
    if len(tops) > 1:
        raise UsageError(f"--diff {revision}: the paths are in different git repositories")
    (top,) = tops
    inside = [path.relative_to(top).as_posix() for path in real]
    beside = {(parent / surroundings).as_posix() for path in inside for parent in PurePosixPath(path).parents}
    return GitChanges(
        top=top,
        commit=_resolve_commit(top, revision),
        paths=tuple("" if path == "." else path for path in inside),
        surroundings=tuple(sorted(beside)) if surroundings else (),
    )


def _parse_patch(patch: bytes) -> set[int] | None:
    """The changed lines of a file; None when it is new or binary."""
    if re.search(rb"^(new file mode|Binary files)", patch.partition(b"\n@@")[0], re.MULTILINE):
        return None
    lines: set[int] = set()
    for match in _HUNK.finditer(patch):
        start, count = int(match[1]), int(match[2] or 1)
        lines |= set(range(start, start + count)) if count else {start, start + 1}
    return lines


def _find_toplevel(path: Path, revision: str) -> Path:
    folder = next(parent for parent in (path, *path.parents) if parent.is_dir())
    try:
        return Path(
            os.path.realpath(os.fsdecode(_run_git(folder, "rev-parse", "--show-toplevel").rstrip(b"\n")))
        )
    except GitError as error:
        raise UsageError(f"--diff {revision}: {folder}: {error}") from None


def _resolve_commit(top: Path, revision: str) -> str:
    if not revision:
        raise UsageError(
            f"--diff: no such revision in {top}: it is empty, as of git merge-base in a shallow clone; "
            "fetch all of its history (fetch-depth: 0)"
        )
    try:
        if revision.startswith("-"):  # an option, and no revision's name
            raise GitError
        return _run_git(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    except (GitError, ValueError):
        remote, _, branch = revision.partition("/")
        fetch = f"origin {branch}:refs/remotes/origin/{branch}" if remote == "origin" else "--unshallow"
        raise UsageError(
            f"--diff {revision}: no such revision in {top}; in a shallow clone, run git fetch {fetch} first"
        ) from None


class GitError(UsageError):
    """The git command failed; the text is its error message."""


def _run_git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607  (the user's own git)
            input=stdin,
            capture_output=True,
            env={**os.environ, **_ENVIRONMENT},
            check=False,
        )
    except OSError as error:
        raise UsageError(f"--diff needs the git command: {error.strerror}") from None
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        if "safe.directory" not in message:  # there the way out is behind the first line
            message = message.partition("\n")[0]
        raise GitError(message.removeprefix("fatal: ") or f"git {arguments[0]} failed")
    return done.stdout


def _split_names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def _is_safe_name(name: str) -> bool:
    """Whether a file of this name stays below the folder that it is written to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
