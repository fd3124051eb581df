"""What a shell script says, as a tree.

Only what decides which words a command gets is kept: redirections are read and left out, and what could
be expanded by running something only is `Opaque`.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias


class UnsupportedSyntax(Exception):
    """The script is no shell script, or one beyond what is read here."""


class Text(NamedTuple):
    """Characters as they are. Without quotes, patterns, braces and a tilde among them mean something."""

    text: str
    quoted: bool


class ParameterExpansion(NamedTuple):
    """`$NAME` or `${NAME:-default}`; the operator `[@]` is bash's `${NAME[@]}`."""

    name: str
    operator: str
    default: tuple["WordPart", ...]
    quoted: bool


class UnknownExpansion(NamedTuple):
    """An expansion whose result is not known, and the names that it may set."""

    sets: frozenset[str] = frozenset()


WordPart: TypeAlias = Text | ParameterExpansion | UnknownExpansion


class ShellWord(NamedTuple):
    parts: tuple[WordPart, ...]
    start: int
    end: int

    @property
    def literal(self) -> str | None:
        """What it says when nothing in it is expanded."""
        texts = [part.text for part in self.parts if isinstance(part, Text)]
        return "".join(texts) if len(texts) == len(self.parts) else None


class Assignment(NamedTuple):
    """`NAME=value`; the value is None when it is an array, or the name is an element of one.

    `elements` are those of an array, None where it is none or says at which place each stands.
    """

    name: str
    value: ShellWord | None
    appends: bool
    elements: tuple[ShellWord, ...] | None = None


class SimpleCommand(NamedTuple):
    """A command. `aside` are words that it does not get: redirections. `declares`: as `export` does."""

    assignments: tuple[Assignment, ...]
    words: tuple[ShellWord | Assignment, ...]
    aside: tuple[ShellWord, ...]
    declares: bool = False

    @property
    def name(self) -> str:
        first = self.words[0] if self.words else None
        return (first.literal if isinstance(first, ShellWord) else None) or ""


class OpaqueCommand(NamedTuple):
    """`[[ ... ]]`, `(( ... ))` and what else sets variables at most."""

    words: tuple[ShellWord, ...]
    sets: frozenset[str]


class AndOrList(NamedTuple):
    """`a && b || c`: each part with the operator before it."""

    parts: tuple[tuple[str, "Statement"], ...]


class StatementList(NamedTuple):
    statements: tuple["Statement", ...]


class Subshell(NamedTuple):
    """Run in shells of their own: the parts of a pipeline, a subshell, what is in the background."""

    parts: tuple["Statement", ...]


class Branches(NamedTuple):
    """`if` and `case`: `first` is always run, each of `bodies` perhaps."""

    first: "Statement"
    bodies: tuple["Statement", ...]


class Loop(NamedTuple):
    names: frozenset[str]
    body: "Statement"


class FunctionDefinition(NamedTuple):
    name: str
    body: "Statement"


Statement: TypeAlias = (
    SimpleCommand
    | OpaqueCommand
    | AndOrList
    | StatementList
    | Subshell
    | Branches
    | Loop
    | FunctionDefinition
)


def walk(node: Statement) -> Iterator[Statement]:
    """The statement itself and every one inside it."""
    pending: list[Statement] = [node]
    while pending:
        found = pending.pop()
        yield found
        match found:
            case AndOrList(parts):
                pending.extend(part for _, part in parts)
            case StatementList(inner) | Subshell(inner):
                pending.extend(inner)
            case Branches(first, bodies):
                pending.extend((first, *bodies))
            case Loop(_, body) | FunctionDefinition(_, body):
                pending.append(body)
            case _:
                pass
