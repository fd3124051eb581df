"""The arguments of an engine from its flags, its environment variables and its YAML or JSON files."""

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from dynocheck.data.flags import FlagTable
from dynocheck.engines.command_line import FlagOccurrence, parse_flags
from dynocheck.facts import ConfigFile, Container, EnvVar, Launch, Value


@dataclass(frozen=True)
class Argument:
    """A value and its position.

    `known` is false if only the running container knows the value, which is then None. A flag without a
    value has the value True. `spelled` is the flag, key or variable as it is written.
    """

    name: str
    value: Any
    file: str
    line: int
    column: int
    known: bool = True
    spelled: str = ""

    @property
    def integer(self) -> int | None:
        """The value as a whole number, None if it is not one."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | str):
            return None
        try:
            return int(self.value) if len(str(self.value)) < 20 else None
        except ValueError:
            return None

    def equals(self, value: Any) -> bool:
        """Whether both values mean the same, such as `1` and `"1"`, or `0.90` and `0.9`."""
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
        """Whether the value is true; None if it is unknown."""
        if not self.known:
            return None
        return self.value is True or str(self.value).lower() in ("true", "1", "yes", "on")

    @property
    def entries(self) -> dict[str, Any] | None:
        """The value as a mapping, decoded if it is JSON; None if it is not a mapping."""
        value = self.value
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return None
        return value if isinstance(value, dict) else None


class Arguments:
    """The arguments of one launch by the engine's name for each.

    `conflicts` are the arguments that a later source overrides with another value, each with the winner.

    :param sources: later ones win.
    :param complete: False if a word of the command line could hold more arguments, or if a file is not in
        the recipe.
    """

    def __init__(self, *sources: Mapping[str, Argument], complete: bool = True) -> None:
        self._arguments: dict[str, Argument] = {}
        self.conflicts: list[tuple[Argument, Argument]] = []
        for source in sources:
            self.conflicts += [
                (old, new) for name, new in source.items() if (old := self._find_conflict(name, new))
            ]
            self._arguments.update(source)
        self.complete = complete

    def _find_conflict(self, name: str, new: Argument) -> Argument | None:
        """The earlier argument of this name, if its value differs."""
        old = self._arguments.get(name)
        return old if old is not None and old.known and new.known and not old.equals(new.value) else None

    def get(self, *names: str) -> Argument | None:
        """The first of these names that has an argument."""
        return next((self._arguments[name] for name in names if name in self._arguments), None)

    def size(self, *names: str) -> int | None:
        """The number of ranks under one of these names: 1 if none is set, None if it is unknown."""
        argument = self.get(*names)
        number = 1 if argument is None else argument.integer
        return number if number is not None and number > 0 else None

    def text(self, name: str, default: str) -> str | None:
        """The value as text, the default if it is not set, None if it is unknown."""
        argument = self.get(name)
        if argument is None:
            return default
        return str(argument.value) if argument.known else None

    def has_prefix(self, prefix: str) -> bool:
        """Whether an argument's name starts with this."""
        return any(name.startswith(prefix) for name in self._arguments)

    def is_enabled(self, *names: str) -> bool | None:
        """Whether the first of these switches that is set is on; None if that is unknown."""
        argument = self.get(*names)
        return False if argument is None else argument.enabled


class ParsedFlags(NamedTuple):
    """The arguments by name, the last of each, and whether every word is accounted for."""

    arguments: dict[str, Argument]
    complete: bool


def parse_command_line(
    launch: Launch,
    file: str,
    parsers: tuple[FlagTable, ...],
    names: Mapping[str, str],
    *,
    flexible: bool = False,
) -> ParsedFlags:
    """The arguments on a command line.

    :param file: the manifest that contains it.
    :param parsers: the options of Dynamo and of the engine.
    :param names: as for `collect_arguments`; `flexible` too.
    """
    flags = parse_flags(launch, parsers)
    arguments, complete = collect_arguments(flags, file, names, flexible=flexible)
    words = takewhile(lambda word: word.text != "--", launch.words)
    unknown = sum(word.text is None for word in words) - sum(flag.value is None for flag in flags)
    return ParsedFlags(arguments, complete and not unknown)


def collect_arguments(
    flags: Iterable[FlagOccurrence], file: str, names: Mapping[str, str], *, flexible: bool = False
) -> ParsedFlags:
    """The arguments that flags make; incomplete if a flag is ambiguous.

    A flag unknown to its parser keeps the name it has. `--config` counts only as a word of its own: vLLM and
    SGLang look for that word before they parse, and read no file for `--config=FILE`.

    :param names: the one name for options whose first spelling differs between releases.
    :param flexible: whether unknown flags may have underscores and `--a.b 1` means `--a '{"b": 1}'`.
    """
    arguments: dict[str, Argument] = {}
    nested: dict[str, Argument] = {}
    complete = True
    for flag in flags:
        name = _resolve_name(flag, names, flexible=flexible)
        complete = complete and name is not None
        if name is None or (name == "config" and (flag.spelled != "--config" or flag.inline is not None)):
            continue
        target, value, known = arguments, flag.value, flag.value is not None
        if flexible and "." in flag.spelled:
            old = nested.get(name)
            target, known = nested, known and (old is None or old.known)
            value = _merge(old.value if old is not None else {}, flag.json)
        elif flag.negated:
            value = False
        target[name] = Argument(name, value, file, flag.word.line, flag.word.column, known, flag.spelled)
    return ParsedFlags(arguments | nested, complete)


def _resolve_name(flag: FlagOccurrence, names: Mapping[str, str], *, flexible: bool) -> str | None:
    """The name of the option that a flag stands for; None if it could be several."""
    if flag.spelled == "--config" and flag.inline is None:
        return "config"
    spellings = {option.names[0].lstrip("-") for option in flag.candidates}
    if not spellings:
        bare = flag.spelled.removeprefix("--no-") if flag.negated else flag.spelled.lstrip("-")
        spellings = {bare.partition(".")[0].replace("_", "-") if flexible else bare}
    found = {names.get(spelling, spelling) for spelling in spellings}
    return found.pop() if len(found) == 1 else None


def _merge(old: Any, new: Any) -> Any:
    """A mapping with another merged into it at every depth."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {key: _merge(old.get(key), value) for key, value in new.items()}


def parse_config_keys(root: Value | None, file: str, names: Mapping[str, str]) -> dict[str, Argument] | None:
    """The top-level keys of a file that is passed as keyword arguments; None if it is not a mapping.

    :param names: the engine's name for keys that it takes by another one.
    """
    if root is None or not isinstance(root.data, dict):
        return None
    arguments = {}
    for key, value in root.data.items():
        name = names.get(key, key.replace("_", "-"))
        arguments[name] = Argument(name, value.plain, file, value.line, value.column, spelled=key)
    return arguments


def parse_environment(
    variables: Sequence[EnvVar], file: str, options: Iterable[str], prefix: str, names: Mapping[str, str]
) -> dict[str, Argument]:
    """The variables that stand in for flags, `PREFIX_FLAG_NAME`; the last of a name counts.

    :param names: as for `collect_arguments`.
    """
    arguments = {}
    by_name = {variable.name: variable for variable in variables}
    for option in options:
        variable = by_name.get(prefix + option.replace("-", "_").upper())
        if variable is not None:
            name, known = names.get(option, option), variable.value is not None
            arguments[name] = Argument(
                name, variable.value, file, variable.line, variable.column, known, variable.name
            )
    return arguments


def find_config_file(container: Container, path: Argument | None) -> ConfigFile | None:
    """The recipe's own file at a path in the container, None if the recipe does not contain it."""
    if path is None or not isinstance(path.value, str):
        return None
    folder = "" if container.moves else container.folder
    wanted = {posixpath.normpath(each) for each in (path.value, posixpath.join(folder, path.value))}
    return next((f for f in container.files if posixpath.normpath(f.path) in wanted), None)
