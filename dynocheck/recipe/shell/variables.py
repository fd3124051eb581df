"""What a shell's variables are known to be while its script is followed."""

import re
from collections.abc import Iterable, Iterator
from enum import Enum

from dynocheck.recipe.references import UNKNOWN, Environment, is_injected
from dynocheck.recipe.shell.lexer import NAME
from dynocheck.recipe.shell.syntax import (
    Assignment,
    Loop,
    OpaqueCommand,
    ParameterExpansion,
    ShellWord,
    SimpleCommand,
    Statement,
    UnknownExpansion,
    walk,
)

_SETTING = {"read", "printf", "mapfile", "readarray", "getopts", "let", "wait"}
_DECLARING = {"export", "readonly", "declare", "typeset", "local", "unset"}
# What the shell itself sets, whatever its environment says.
_OWN = re.compile(
    r"_|PWD|OLDPWD|SHLVL|IFS|OPTIND|OPTARG|S?RANDOM|SECONDS|LINENO|E?UID|PPID|BASH.*|DIRSTACK|GROUPS|HISTCMD"
    r"|PIPESTATUS|FUNCNAME|REPLY|EPOCH.*"
)


_ELEMENTS, _BEFORE = "[@]", "\0"  # an array is kept beside its name, each element behind a mark
_MAX_EXPANDED = 1024 * 1024  # characters that the variables of one script may bring in


class Unset(Enum):
    UNSET = 0


class Variables:
    """What is known of each variable at one point of a script: its text, None when nothing, or Unset."""

    def __init__(self, environment: Environment, *, is_open: bool) -> None:
        self._values: dict[str, str | None] = dict(environment)
        self._is_open = is_open  # there may be more than the environment says
        self.frozen: set[str] = set()  # set by a function, or of a type of their own: never known
        self.locked: set[str] = set()  # by `readonly`: what is assigned afterwards fails
        self.opaque = False  # code that is not here ran
        self.splits = True  # at blanks, as IFS says at the start
        self.room = _MAX_EXPANDED

    def get(self, name: str) -> str | Unset | None:
        if self.opaque or name in self.frozen or _OWN.fullmatch(name):
            return None
        return self._values.get(name, None if self._is_open or is_injected(name) else Unset.UNSET)

    def expand(self, name: str) -> str | Unset | None:
        """The same for what is put into a word, where values that double would grow without end."""
        found = self.get(name)
        if not isinstance(found, str):
            return found
        self.room -= len(found)
        return found if self.room >= 0 else None

    def get_array(self, name: str) -> list[str | None] | None:
        """The elements of an array, None for each that is not known, or for the whole."""
        known = not (self.opaque or name in self.frozen or _OWN.fullmatch(name))
        found = self._values.get(f"{name}{_ELEMENTS}") if known else None
        self.room -= len(found or "")
        if found is None or self.room < 0:
            return None
        return _split_elements(found)

    def put_array(self, name: str, elements: Iterable[str | None]) -> None:
        self.put(name, None)  # which is its first element
        if name not in self.locked:
            texts = (UNKNOWN if each is None else each for each in elements)
            self._values[f"{name}{_ELEMENTS}"] = "".join(_BEFORE + text for text in texts)

    def put(self, name: str, value: str | None) -> None:
        self._values[name] = None if name in self.locked else value
        self._values.pop(f"{name}{_ELEMENTS}", None)

    def unset(self, name: str) -> None:
        if name in self.locked:
            self._values[name] = None
        else:
            self._values.pop(name, None)
        self._values.pop(f"{name}{_ELEMENTS}", None)

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._values[name] = None
            self._values.pop(f"{name}{_ELEMENTS}", None)

    def make_inner(self, environment: Environment) -> "Variables":
        """Those of a script that this one runs, which shares its room."""
        found = Variables(environment, is_open=self._is_open)
        found.frozen, found.opaque, found.room = set(self.frozen), self.opaque, self.room
        return found

    def copy(self) -> dict[str, str | None]:
        return dict(self._values)

    def restore(self, values: dict[str, str | None]) -> None:
        self._values = dict(values)

    def doubt(self, before: dict[str, str | None]) -> None:
        """Forget what has changed since; of an array that became longer only what was added."""
        now, changed = self._values, self.changed_since(before)
        longer = {
            name.removesuffix(_ELEMENTS): old
            for name in changed
            if name.endswith(_ELEMENTS)
            and (old := before.get(name)) is not None
            and (now.get(name) or "").startswith(old + _BEFORE)
        }
        self.forget(changed)
        for name, old in longer.items():
            self.put_array(name, [*_split_elements(old), None])

    def changed_since(self, before: dict[str, str | None]) -> set[str]:
        names = before.keys() | self._values.keys()
        return {n for n in names if before.get(n, Unset.UNSET) != self._values.get(n, Unset.UNSET)}


def _split_elements(written: str) -> list[str | None]:
    return [None if UNKNOWN in each else each for each in written.split(_BEFORE)[1:]]


def find_assigned(statement: Statement) -> set[str]:
    """Every name that something in this part of a script may set."""
    return {name for node in walk(statement) for name in _find_set_names(node)}


def _find_set_names(statement: Statement) -> Iterator[str]:
    match statement:
        case SimpleCommand(assignments, words, aside):
            for assignment in assignments:
                yield from find_set_by_assignment(assignment)
            for word in (*words, *aside):
                yield from (
                    find_set_by_assignment(word) if isinstance(word, Assignment) else find_set_in_word(word)
                )
            yield from find_set_by_command(statement)
        case OpaqueCommand(words, names):
            yield from names
            for word in words:
                yield from find_set_in_word(word)
        case Loop(names, _):
            yield from names
        case _:
            return


def find_set_by_assignment(assignment: Assignment) -> Iterator[str]:
    yield assignment.name
    for word in (*(assignment.elements or ()), *([assignment.value] if assignment.value else [])):
        yield from find_set_in_word(word)


def find_set_by_command(command: SimpleCommand) -> Iterator[str]:
    """The names that a command itself sets: those it is given."""
    if command.name in _SETTING | _DECLARING:
        for word in command.words[1:]:
            literal = word.literal if isinstance(word, ShellWord) else None
            found = NAME.match(literal or "")
            if found:
                yield found.group()


def find_set_in_word(word: ShellWord) -> Iterator[str]:
    """The names that expanding a word may set."""
    pending = list(word.parts)
    while pending:
        part = pending.pop()
        match part:
            case UnknownExpansion(names):
                yield from names
            case ParameterExpansion(name, operator, default, _):
                pending.extend(default)
                if operator in ("=", ":="):
                    yield name
            case _:
                pass
