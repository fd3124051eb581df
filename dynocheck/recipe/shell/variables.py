"""The known values of shell variables while a script is interpreted."""

import re
from collections.abc import Iterable, Iterator, Sequence
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
# Variables that the shell sets itself, whatever its environment.
_OWN = re.compile(
    r"_|PWD|OLDPWD|SHLVL|IFS|OPTIND|OPTARG|S?RANDOM|SECONDS|LINENO|E?UID|PPID|BASH.*|DIRSTACK|GROUPS|HISTCMD"
    r"|PIPESTATUS|FUNCNAME|REPLY|EPOCH.*"
)


POSITIONAL = ("@", *map(str, range(1, 10)))
_ELEMENTS, _BEFORE = "[@]", "\0"  # an array is stored under NAME[@], each element after a separator
_MAX_EXPANDED = 1024 * 1024  # characters that the expansions of one script may produce


class Unset(Enum):
    UNSET = 0


class Variables:
    """What is known of each variable at one point of a script: its value, None if unknown, or Unset.

    :param environment: the variables of the container.
    :param is_open: whether the container may have variables besides those.
    """

    def __init__(self, environment: Environment, *, is_open: bool) -> None:
        self._values: dict[str, str | None] = {"0": None, **environment}
        self._is_open = is_open
        self.frozen: set[str] = set()  # set by a function or declared with a type: never known
        self.locked: set[str] = set()  # declared `readonly`: later assignments fail
        self.opaque = False  # the script has run code that is not in it
        self.splits = True  # whether unquoted expansions split at blanks, as the default IFS does
        self.room = _MAX_EXPANDED

    def get(self, name: str) -> str | Unset | None:
        if self.opaque or name in self.frozen or _OWN.fullmatch(name):
            return None
        return self._values.get(name, None if self._is_open or is_injected(name) else Unset.UNSET)

    def expand(self, name: str) -> str | Unset | None:
        """Like `get`, but None once the total length of all expansions exceeds the limit."""
        value = self.get(name)
        if not isinstance(value, str):
            return value
        self.room -= len(value)
        return value if self.room >= 0 else None

    def get_array(self, name: str) -> list[str | None] | None:
        """The elements of an array, each None if unknown; None if the whole array is unknown."""
        known = not (self.opaque or name in self.frozen or _OWN.fullmatch(name))
        stored = self._values.get(f"{name}{_ELEMENTS}") if known else None
        self.room -= len(stored or "")
        return None if stored is None or self.room < 0 else _split_elements(stored)

    def put_array(self, name: str, elements: Iterable[str | None]) -> None:
        self.put(name, None)  # $NAME is the first element
        if name not in self.locked:
            self._values[f"{name}{_ELEMENTS}"] = "".join(
                _BEFORE + (UNKNOWN if element is None else element) for element in elements
            )

    def put_arguments(self, arguments: Sequence[str | None]) -> None:
        """Set `$@`, `$1` and so on."""
        for name in POSITIONAL:
            self.unset(name)
        self.put_array("@", arguments)
        for name, argument in zip(POSITIONAL[1:], arguments, strict=False):
            self.put(name, argument)

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
        """The variables of a script that this one runs; it shares the limit on expansions."""
        inner = Variables(environment, is_open=self._is_open)
        inner.frozen, inner.opaque, inner.room = set(self.frozen), self.opaque, self.room
        return inner

    def copy(self) -> dict[str, str | None]:
        return dict(self._values)

    def restore(self, values: dict[str, str | None]) -> None:
        self._values = dict(values)

    def doubt(self, before: dict[str, str | None]) -> None:
        """Forget what changed since `before`; of an array that was appended to, only the new elements."""
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


def _split_elements(stored: str) -> list[str | None]:
    return [None if UNKNOWN in element else element for element in stored.split(_BEFORE)[1:]]


def find_assigned(statement: Statement) -> set[str]:
    """Every variable that this part of a script may set."""
    return {name for node in walk(statement) for name in _find_set_names(node)}


def _find_set_names(statement: Statement) -> Iterator[str]:
    match statement:
        case SimpleCommand(assignments, words, redirections):
            for assignment in assignments:
                yield from find_set_by_assignment(assignment)
            for word in (*words, *redirections.targets):
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
    """The variables that a builtin such as `read` or `export` sets: those in its arguments."""
    if command.name in ("set", "shift"):
        yield from POSITIONAL
    if command.name in _SETTING | _DECLARING:
        for word in command.words[1:]:
            literal = word.literal if isinstance(word, ShellWord) else None
            name = NAME.match(literal or "")
            if name:
                yield name.group()


def find_set_in_word(word: ShellWord) -> Iterator[str]:
    """The variables that expanding a word may set."""
    pending = list(word.parts)
    while pending:
        part = pending.pop()
        match part:
            case UnknownExpansion(names, _):
                yield from names
            case ParameterExpansion(name, operator, default, _):
                pending.extend(default)
                if operator in ("=", ":="):
                    yield name
            case _:
                pass
