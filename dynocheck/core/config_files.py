"""Finds the configuration files of a run and merges them.

Folders are searched from the judged paths and from the working folder upward to the root of the git
repository; outside a repository, only these folders themselves. A file applies when it lies above every
judged path, or when the working folder leads to it. Later files win: first those above the judged paths, from
the root inwards, then those that only the working folder leads to. They win key by key, in the tables
`levels` and `thresholds` entry by entry. The user's own file, which lies in no tree, comes before all others.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dynocheck.core.config import OWN, SHARED, SiteConfig, format_key, read_config
from dynocheck.core.errors import UsageError

_DIRECTORIES = "checks-dirs"
_OPERATORS = (_DIRECTORIES, "allow-silencing")  # keys that hold in trusted files only
_PARTIAL = "it covers a part of the judged paths"


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file with its valid content.

    `trusted`: it may load custom checks and silence every check, because it is the user's own file, or that
    of --config, or --trust-config says so.
    """

    path: Path
    content: Mapping[str, Any]
    trusted: bool

    @property
    def checks_dirs(self) -> list[str]:
        """Its directories with custom checks."""
        return [str(self.path.parent / folder) for folder in self.content.get(_DIRECTORIES, ())]


class Setting(NamedTuple):
    """A value that holds, and the file that it is from; None for a default."""

    key: str
    value: Any
    file: Path | None


@dataclass(frozen=True)
class ConfigFiles:
    """The configuration files of a run, of which later ones win.

    `ignored` are files that do not apply, with the reason.
    """

    files: tuple[ConfigFile, ...] = ()
    ignored: tuple[tuple[Path, str], ...] = ()

    @cached_property
    def merged(self) -> dict[tuple[str, ...], tuple[Any, Path]]:
        """Each value that holds, by its key and, in a table, its entry, with its file; the winners last."""
        merged: dict[tuple[str, ...], tuple[Any, Path]] = {}
        for file in self.files:
            for key, value in _list_values(file):
                merged.pop(key, None)  # of two patterns in `levels` that match, the later one decides
                merged[key] = value, file.path
        return merged

    @cached_property
    def site(self) -> SiteConfig:
        """The values that hold."""
        content: dict[str, Any] = {}
        for (key, *entry), (value, _) in self.merged.items():
            if entry:
                content.setdefault(key, {})[entry[0]] = value
            else:
                content[key] = value
        return msgspec.convert(content, SiteConfig)

    @property
    def unloaded_dirs(self) -> list[tuple[ConfigFile, str]]:
        """Directories with custom checks that are not loaded, because their file is not trusted."""
        return [(file, folder) for file in self.files if not file.trusted for folder in file.checks_dirs]

    def is_trusted(self, *key: str) -> bool:
        """Whether a value is from a trusted file, or a default."""
        path = self.get_file(*key)
        return all(file.trusted for file in self.files if file.path == path)

    def get_file(self, *key: str) -> Path | None:
        """The file that a value is from; None for a default."""
        return self.merged[key][1] if key in self.merged else None

    def list_settings(self) -> Iterator[Setting]:
        """Every value that holds, the defaults too, in the order of the documentation."""
        for name, value in msgspec.to_builtins(self.site).items():
            if not isinstance(value, dict):
                yield Setting(name, value, self.get_file(name))
            for entry, item in value.items() if isinstance(value, dict) else ():
                yield Setting(format_key(f"{name}.", entry), item, self.get_file(name, entry))

    def describe(self) -> dict[str, Any]:
        """The files in the target of a report, and what of them does not hold."""
        notes = [f"{path} not applied: {reason}" for path, reason in self.ignored]
        notes += [
            f"{folder}, named by {file.path}, not loaded: add --checks-dir {folder} or --trust-config"
            for file, folder in self.unloaded_dirs
        ]
        notes += [
            f"allow-silencing of {file.path} not applied: only the operator's own configuration can allow it"
            for file in self.files
            if not file.trusted and "allow-silencing" in file.content
        ]
        described = {"config": [str(file.path) for file in self.files], "config notes": notes}
        return {name: value for name, value in described.items() if value}


def find_config(
    judged: Sequence[str] = (), named: str | None = None, *, trusted: bool = False, isolated: bool = False
) -> ConfigFiles:
    """The configuration files of a run.

    :param judged: the paths that are judged.
    :param named: the value of --config, which replaces all files that are found.
    :param trusted: trust the files that are found.
    :param isolated: look for none in the working folder and the trees of the judged paths.
    :raises UsageError: a file cannot be used.
    """
    if named is not None:
        return ConfigFiles((_read_named(named),))
    own = _read_own()
    if isolated:
        return ConfigFiles(own)
    here = list_folders(".")
    chains = [list_folders(path) for path in dict.fromkeys(judged)]
    shared = [folder for folder in chains[0] if all(folder in chain for chain in chains)] if chains else []
    applied = [*shared, *(folder for folder in here if folder not in shared)]
    files = [file for folder in applied if (file := _read_folder(folder, trusted=trusted))]
    others = dict.fromkeys(folder for chain in chains for folder in chain if folder not in applied)
    ignored = [(path, _PARTIAL) for folder in others for path in _find_ignored(folder, (OWN, SHARED))[:1]]
    ignored += [
        (path, f"{OWN} lies beside it")
        for file in files
        if file.path.name == OWN
        for path in _find_ignored(file.path.parent, (SHARED,))
    ]
    return ConfigFiles((*own, *files), tuple(ignored))


def _read_own() -> tuple[ConfigFile, ...]:
    """The user's own configuration, if there is one.

    :raises UsageError: it cannot be used.
    """
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - never raises
    path = Path(home, "dynocheck", OWN)
    return (ConfigFile(path, read_config(path) or {}, trusted=True),) if os.path.lexists(path) else ()


def _read_named(name: str) -> ConfigFile:
    """The file of --config.

    :raises UsageError: it cannot be used.
    """
    path, content = Path(name), read_config(Path(name)) if name else None
    if content is None:
        raise UsageError(f"--config {name}: has no [tool.dynocheck]" if name else "--config: an empty path")
    return ConfigFile(path, content, trusted=True)


def list_folders(start: str) -> list[Path]:
    """The folders from the root of the git repository to a path; outside a repository, its folder alone.

    None when there is no such path.
    """
    try:
        path = Path(os.path.realpath(start))
        nearest = path if path.is_dir() else path.parent
    except (OSError, ValueError):  # the verb says what is wrong with the path
        return []
    folders = [nearest, *nearest.parents]
    depth = next((i for i, folder in enumerate(folders) if os.path.lexists(folder / ".git")), 0)
    return folders[depth::-1]


def _read_folder(folder: Path, *, trusted: bool) -> ConfigFile | None:
    """The configuration file in a folder, if there is one.

    :raises UsageError: it cannot be used.
    """
    found = next((path for name in (OWN, SHARED) if os.path.lexists(path := folder / name)), None)
    if found is None:
        return None
    path = _shorten(found)
    if not os.path.isfile(found):  # noqa: PTH113 - never raises
        raise UsageError(f"{path}: not a file")
    content = read_config(path)
    return None if content is None else ConfigFile(path, content, trusted)


def _find_ignored(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of these names in a folder that are a configuration, or may be one that cannot be used."""
    found = []
    for path in (folder / name for name in names):
        try:
            if os.path.isfile(path) and read_config(path) is not None:  # noqa: PTH113 - never raises
                found.append(_shorten(path))
        except UsageError:
            found.append(_shorten(path))
    return found


def _shorten(path: Path) -> Path:
    """The path relative to the working folder, where that is shorter."""
    return min(Path(os.path.relpath(path)), path, key=lambda each: len(str(each)))


def _list_values(file: ConfigFile) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in file.content.items():
        if isinstance(value, dict):
            yield from (((key, entry), item) for entry, item in value.items())
        elif file.trusted or key not in _OPERATORS:
            yield (key,), file.checks_dirs if key == _DIRECTORIES else value
