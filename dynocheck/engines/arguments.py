"""The arguments of an engine, whichever way they are given: flags, environment, a YAML file."""

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynocheck.facts.recipe.recipes import ConfigFile, Container, EnvVar, Value


@dataclass(frozen=True)
class Argument:
    """A value and where it is written.

    `known` is false when only the running container could tell the value; then `value` is None. A flag
    that takes no value has the value True.
    """

    name: str
    value: Any
    file: str
    line: int
    column: int
    known: bool = True

    @property
    def integer(self) -> int | None:
        """The value as a whole number, or None when it is none."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | str):
            return None
        try:
            return int(self.value) if len(str(self.value)) < 20 else None
        except ValueError:
            return None

    def equals(self, value: Any) -> bool:
        """Whether it means this value, however the two are written: `1` and `"1"`, `0.90` and `0.9`."""
        if isinstance(self.value, bool) or isinstance(value, bool):
            return str(self.value).lower() == str(value).lower()
        if self.entries is not None:
            return self.entries == value or self.entries == Argument("", value, "", 1, 1).entries
        try:
            return float(self.value) == float(value)
        except (TypeError, ValueError, OverflowError):
            return str(self.value) == str(value)

    @property
    def enabled(self) -> bool | None:
        """Whether it switches something on; None when that is not known."""
        if not self.known:
            return None
        return self.value is True or str(self.value).lower() in ("true", "1", "yes", "on")

    @property
    def entries(self) -> dict[str, Any] | None:
        """The value as a mapping, given as one or as JSON; None when it is none."""
        found = self.value
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                return None
        return found if isinstance(found, dict) else None


class Arguments:
    """The arguments of one launch, by the engine's name for each; the winning source last.

    `overruled` are those that another source contradicts, each with the one that wins.

    :param complete: whether nothing but these is given. False when a word of the command line could hold
        more, or a file that is named is not in the recipe.
    """

    def __init__(self, *sources: Mapping[str, Argument], complete: bool = True) -> None:
        self._found: dict[str, Argument] = {}
        self.conflicts: list[tuple[Argument, Argument]] = []
        for source in sources:
            self.conflicts += [
                (old, new) for name, new in source.items() if (old := self._find_conflict(name, new))
            ]
            self._found.update(source)
        self.complete = complete

    def _find_conflict(self, name: str, new: Argument) -> Argument | None:
        """What was given under this name before and says something else."""
        old = self._found.get(name)
        return old if old is not None and old.known and new.known and not old.equals(new.value) else None

    def get(self, *names: str) -> Argument | None:
        """The argument of the first of these names that is given."""
        return next((self._found[name] for name in names if name in self._found), None)

    def size(self, *names: str) -> int | None:
        """The number of ranks given under one of these names: 1 when none is, None when it is not known."""
        found = self.get(*names)
        number = 1 if found is None else found.integer
        return number if number is not None and number > 0 else None

    def text(self, name: str, default: str) -> str | None:
        """The value as text, the default when it is not given, None when it is not known."""
        found = self.get(name)
        if found is None:
            return default
        return str(found.value) if found.known else None

    def has_prefix(self, prefix: str) -> bool:
        """Whether an argument's name begins with this."""
        return any(name.startswith(prefix) for name in self._found)

    def is_enabled(self, *names: str) -> bool | None:
        """Whether one of these switches is given and not negated; None when that is not known."""
        found = self.get(*names)
        return False if found is None else found.enabled


def parse_config_keys(root: Value | None, file: str, names: Mapping[str, str]) -> dict[str, Argument] | None:
    """The top-level keys of an engine's file, as keyword arguments; None when it has no such thing.

    :param names: the engine's name for each key that it takes by another one.
    """
    if root is None or not isinstance(root.data, dict):
        return None
    found = {}
    for key, value in root.data.items():
        name = names.get(key, key.replace("_", "-"))
        found[name] = Argument(name, value.plain, file, value.line, value.column)
    return found


def parse_environment(
    variables: Sequence[EnvVar], file: str, names: Iterable[str], prefix: str
) -> dict[str, Argument]:
    """The variables that stand in for flags: `PREFIX_FLAG_NAME`; the last of a name counts."""
    found = {}
    given = {variable.name: variable for variable in variables}
    for name in names:
        variable = given.get(prefix + name.replace("-", "_").upper())
        if variable is not None:
            known = variable.value is not None
            found[name] = Argument(name, variable.value, file, variable.line, variable.column, known)
    return found


def find_config_file(container: Container, path: Argument) -> ConfigFile | None:
    """The recipe's own file behind a path in the container, or None when the recipe does not hold it."""
    if not isinstance(path.value, str):
        return None
    wanted = posixpath.normpath(path.value)
    return next((f for f in container.files if posixpath.normpath(f.path) == wanted), None)
