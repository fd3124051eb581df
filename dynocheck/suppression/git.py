"""What changed in a git repository since a revision, and the files as they were then.

Asked of the git command, which reads and never writes: no lock, no checkout. Paths and revisions reach it as
literal arguments.
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
_LARGEST = 10 * 1024 * 1024  # bytes: no manifest is larger
_ENVIRONMENT = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"}
_DIFF = ("diff", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules")


@dataclass(frozen=True)
class GitChanges:
    """What lies under these paths of a repository, compared with a commit.

    :param top: the folder of the repository.
    :param paths: relative to it; the empty one is all of it.
    :param surroundings: paths of which the old files may be needed too, and what changed is not asked.
    """

    top: Path
    commit: str
    paths: tuple[str, ...]
    surroundings: tuple[str, ...] = field(default=())

    @cached_property
    def lines(self) -> dict[str, set[int] | None]:
        """The lines that changed, by the real path of each file that did; None for all of a new one.

        Where lines are gone, those around the gap have changed.
        """
        names = _split_names(self._run_git(*_DIFF, "--name-only", "-z", self.commit, "--", *self.paths))
        patches = _PATCH.split(self._run_git(*_DIFF, "-U0", self.commit, "--", *self.paths))[1:]
        changed: dict[str, set[int] | None] = dict.fromkeys(names)
        if len(names) == len(patches):  # not so in the midst of a merge: then all of a file counts
            changed = {name: _parse_patch(patch) for name, patch in zip(names, patches, strict=True)}
        new = _split_names(
            self._run_git("ls-files", "--others", "--exclude-standard", "-z", "--", *self.paths)
        )
        changed |= dict.fromkeys(new)
        return {os.path.realpath(self.top / name): lines for name, lines in changed.items()}

    def restore(self, folder: Path) -> None:
        """Write the files as they were at that commit, each to its place below a folder."""
        wanted = [path for path in (*self.paths, *self.surroundings) if path]
        everything = [] if "" in self.paths else wanted
        listed = _split_names(
            self._run_git("ls-tree", "-r", "-l", "-z", "--full-tree", self.commit, "--", *everything)
        )
        entries = [match.groups() for line in listed if (match := _ENTRY.fullmatch(line))]
        kept = [
            (mode, sha, name)
            for mode, sha, size, name in entries
            if int(size) <= _LARGEST and _is_safe_name(name)
        ]
        kept.sort(key=lambda entry: entry[0] == _LINK)  # links last: nothing is written through them
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
        said = self._run_git("cat-file", "--batch", given="".join(f"{sha}\n" for sha in shas).encode())
        start = 0
        for _ in shas:
            head = said.index(b"\n", start)
            size = int(said[start:head].rsplit(b" ", 1)[1])
            yield said[head + 1 : head + 1 + size]
            start = head + 2 + size

    def _run_git(self, *arguments: str, given: bytes = b"") -> bytes:
        return _run_git(self.top, *arguments, given=given)


def find_changes(revision: str, paths: Sequence[str], surroundings: str = "") -> GitChanges:
    """What changed under these paths since a revision.

    :param surroundings: the name of a folder that counts wherever it stands above one of the paths.
    :raises UsageError: there is no git, no repository around the paths, or no such revision in it.
    """
    if not paths:
        raise UsageError("--diff needs the paths that may have changed")
    real = [Path(os.path.realpath(path)) for path in paths]
    tops = {_find_toplevel(path, revision) for path in real}
    if len(tops) > 1:
        raise UsageError(f"--diff {revision}: the paths lie in different git repositories")
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
    except _GitError as refused:
        raise UsageError(f"--diff {revision}: {folder}: {refused}") from None


def _resolve_commit(top: Path, revision: str) -> str:
    try:
        if revision.startswith("-"):  # the name of no revision does, and an option might
            raise _GitError
        return _run_git(top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    except (_GitError, ValueError):
        raise UsageError(
            f"--diff {revision}: no such revision in {top}; where the clone is shallow, git fetch it first"
        ) from None


class _GitError(UsageError):
    """What git said against it."""


def _run_git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607  (the one of the user's own path)
            input=given,
            capture_output=True,
            env={**os.environ, **_ENVIRONMENT},
            check=False,
        )
    except OSError as error:
        raise UsageError(f"--diff needs the git command: {error.strerror}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise _GitError(said.removeprefix("fatal: ") or f"git {arguments[0]} failed")
    return done.stdout


def _split_names(said: bytes) -> list[str]:
    return [os.fsdecode(name) for name in said.split(b"\0") if name]


def _is_safe_name(name: str) -> bool:
    """Whether a tree's name for a file stays below the folder it is written to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
