"""The syntax tree of a shell script.

It keeps only what determines the words of a command: redirections are parsed and dropped, and expansions
that need execution are `UnknownExpansion`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias


class UnsupportedSyntax(Exception):
    """The text is not a shell script, or uses syntax that this parser does not support."""


class UnclosedQuote(UnsupportedSyntax):
    """A quote, at the offset `at`, does not end: no shell runs the command that it is in."""

    def __init__(self, at: int) -> None:
        self.at = at


class Text(NamedTuple):
    """Literal characters; unquoted ones are subject to globbing, brace and tilde expansion."""

    text: str
    quoted: bool


class ParameterExpansion(NamedTuple):
    """`$NAME` or `${NAME:-default}`; the operator is `[@]` for bash's `${NAME[@]}`, and for `$@`."""

    name: str
    operator: str
    default: tuple["WordPart", ...]
    quoted: bool


class UnknownExpansion(NamedTuple):
    """An expansion with an unknown result: the variables that it may set, and what `$(...)` runs."""

    sets: frozenset[str] = frozenset()
    runs: "Statement | None" = None


WordPart: TypeAlias = Text | ParameterExpansion | UnknownExpansion


class ShellWord(NamedTuple):
    parts: tuple[WordPart, ...]
    start: int
    end: int

    @property
    def literal(self) -> str | None:
        """Its text, or None when it contains an expansion."""
        texts = [part.text for part in self.parts if isinstance(part, Text)]
        return "".join(texts) if len(texts) == len(self.parts) else None


class Assignment(NamedTuple):
    """`NAME=value`; `value` is None for an array, and for an element of one.

    `elements` are those of an array literal without explicit indices, else None.
    """

    name: str
    value: ShellWord | None
    appends: bool
    elements: tuple[ShellWord, ...] | None = None


@dataclass
class HereDocument:
    """A here-document; `start` is the offset of its text. It `expands` unless its delimiter is quoted."""

    delimiter: str
    strips: bool
    expands: bool
    text: str = ""
    start: int = 0


class Redirections(NamedTuple):
    """The targets of redirections, those among them that are written to, and the here-documents.

    `appends` is true if one of them is written to after what it contains.
    """

    targets: tuple[ShellWord, ...] = ()
    writes: tuple[ShellWord, ...] = ()
    documents: tuple[HereDocument, ...] = ()
    appends: bool = False


class SimpleCommand(NamedTuple):
    """A command; `declares` is true for `export` and the like."""

    assignments: tuple[Assignment, ...]
    words: tuple[ShellWord | Assignment, ...]
    redirections: Redirections
    declares: bool = False

    @property
    def name(self) -> str:
        first = self.words[0] if self.words else None
        return (first.literal if isinstance(first, ShellWord) else None) or ""


class OpaqueCommand(NamedTuple):
    """`[[ ... ]]`, `(( ... ))` and other syntax that runs nothing but may set variables (`sets`)."""

    words: tuple[ShellWord, ...]
    sets: frozenset[str]


class AndOrList(NamedTuple):
    """`a && b || c`: each part with the operator before it, empty for the first."""

    parts: tuple[tuple[str, "Statement"], ...]


class StatementList(NamedTuple):
    statements: tuple["Statement", ...]


class Subshell(NamedTuple):
    """Statements that each run in their own process: a pipeline, a subshell, a background job."""

    parts: tuple["Statement", ...]


class Branches(NamedTuple):
    """`if` and `case`: `first` always runs, each of `bodies` may run."""

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
    """The statement itself and every nested one."""
    pending: list[Statement] = [node]
    while pending:
        current = pending.pop()
        yield current
        match current:
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
