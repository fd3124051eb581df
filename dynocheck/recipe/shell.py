"""What a container's command and args run, read the way the kubelet and then the shell read them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh"}
_REFERENCE = re.compile(r"\$(\$|\(([^()$]*)\))")
_BRANCHES = {
    "if_statement",
    "elif_clause",
    "else_clause",
    "case_statement",
    "while_statement",
    "for_statement",
    "function_definition",
    "subshell",
}

Environment = Mapping[str, str | None]


class Token(NamedTuple):
    """A word that the process gets: its text, None when it cannot be known, and how the source spells it."""

    text: str | None
    spelled: str
    source: int  # index of the command or args element it comes from


def expand_references(text: str, environment: Environment) -> str | None:
    """`$(NAME)` replaced as the kubelet does, `$$` unescaped; None when a name's value is not known.

    A name that the container does not define stays as it is written.
    """
    unknown = False

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        name = match.group(2)
        if name is None:
            return "$"
        if name not in environment:
            return match.group(0)
        found = environment[name]
        unknown = unknown or found is None
        return found or ""

    expanded = _REFERENCE.sub(value, text)
    return None if unknown else expanded


def processes(argv: Sequence[str | None], environment: Environment) -> Iterator[tuple[Token, ...]]:
    """The commands that a container runs, in order.

    :param argv: its command and args, one after the other; None for an element that is no string.
    :param environment: its variables; None for a value that is not known.
    :return: the words of each command: one for an exec form, any number for a shell's script.
    """
    words = [None if text is None else expand_references(text, environment) for text in argv]
    script = _script(words)
    if script is None:
        yield tuple(Token(word, raw or "", i) for i, (word, raw) in enumerate(zip(words, argv, strict=True)))
        return
    text = words[script]
    if text is not None:
        yield from _Script(text, environment, script).commands()


def _script(words: Sequence[str | None]) -> int | None:
    """Where the script of `sh -c SCRIPT` stands, or None when no shell is asked to run one."""
    start = 1 if words and (words[0] or "").endswith("/env") else 0
    if len(words) <= start or (words[start] or "").rpartition("/")[2] not in _SHELLS:
        return None
    for i in range(start + 1, len(words) - 1):
        word = words[i] or ""
        if re.fullmatch(r"-[a-z]*c[a-z]*", word):
            return i + 1
        if not word.startswith(("-", "+")) and words[i - 1] not in ("-o", "+o"):
            return None
    return None


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bash.language()))


class _Script:
    def __init__(self, text: str, environment: Environment, source: int) -> None:
        self.bytes = text.encode()
        self.variables: dict[str, str | None] = dict(environment)
        self.source = source

    def commands(self) -> Iterator[tuple[Token, ...]]:
        yield from self._walk(_parser().parse(self.bytes).root_node)

    def _walk(self, root: Node) -> Iterator[tuple[Token, ...]]:
        pending = [(root, False)]
        while pending:
            node, in_branch = pending.pop()
            if node.type == "command":
                yield tuple(self._words(node))
                continue
            if node.type == "variable_assignment":
                self._assign(node, in_branch)
                continue
            branch = in_branch or node.type in _BRANCHES
            pending.extend((child, branch) for child in reversed(node.children))

    def _assign(self, node: Node, in_branch: bool) -> None:
        name = node.child_by_field_name("name")
        value = node.child_by_field_name("value")
        if name is not None:
            known = "" if value is None else self._text(value)
            self.variables[self._source(name)] = None if in_branch else known

    def _words(self, command: Node) -> Iterator[Token]:
        for child in command.children:
            if child.type in ("variable_assignment", "comment"):
                continue
            node = child.children[0] if child.type == "command_name" else child
            text, spelled = self._text(node), self._source(node)
            if node.type in ("simple_expansion", "expansion") and text is not None:
                for part in text.split():  # unquoted: the shell splits it
                    yield Token(part, spelled, self.source)
            else:
                yield Token(text, spelled, self.source)

    def _source(self, node: Node) -> str:
        return self.bytes[node.start_byte : node.end_byte].decode()

    def _text(self, node: Node) -> str | None:
        source = self._source(node)
        match node.type:
            case "word" | "number":
                return re.sub(r"\\(\n|(.))", r"\2", source)
            case "raw_string":
                return source[1:-1]
            case "string":
                return self._join(node, 1, escapes=r'\\(\n|(["\\$`]))')
            case "concatenation":
                return self._join(node, 0, escapes=r"\\(\n|(.))")
            case "simple_expansion":
                return self.variables.get(source.lstrip()[1:])
            case "expansion":
                return self._expansion(source.lstrip())
        return None if any(mark in source for mark in "$`<>") else source

    def _join(self, node: Node, quotes: int, *, escapes: str) -> str | None:
        """The text of a node made of parts; what stands between the parts is literal."""
        parts: list[str] = []
        at = node.start_byte + quotes
        for child in node.named_children:
            if child.type == "string_content":
                continue
            text = self._text(child)
            if text is None:
                return None
            source = self._source(child)  # the grammar counts blanks before an expansion as part of it
            start = child.start_byte + len(source) - len(source.lstrip())
            parts.append(self._literal(at, start, escapes))
            parts.append(text)
            at = child.end_byte
        parts.append(self._literal(at, node.end_byte - quotes, escapes))
        return "".join(parts)

    def _literal(self, start: int, end: int, escapes: str) -> str:
        return re.sub(escapes, r"\2", self.bytes[start:end].decode())

    def _expansion(self, source: str) -> str | None:
        match = re.fullmatch(r"\$\{(\w+)(?:(:?-)([^$`]*))?\}", source, re.DOTALL)
        if match is None:
            return None
        name, operator, default = match.groups()
        if name not in self.variables:
            return None if operator is None else default.strip("\"'")
        value = self.variables[name]
        return default.strip("\"'") if operator == ":-" and value == "" else value
