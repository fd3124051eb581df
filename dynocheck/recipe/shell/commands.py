"""Parses commands, pipelines and lists of a shell script, as POSIX defines them and with bash's additions."""

import re
from collections.abc import Callable, Mapping
from itertools import chain

from dynocheck.recipe.shell.lexer import MAX_DEPTH, OPERATORS, Lexer
from dynocheck.recipe.shell.syntax import (
    AndOrList,
    Assignment,
    FunctionDefinition,
    HereDocument,
    OpaqueCommand,
    Redirections,
    ShellWord,
    SimpleCommand,
    Statement,
    StatementList,
    Subshell,
    UnsupportedSyntax,
)

_NOTHING: frozenset[str] = frozenset()
_DECLARATIONS = ("export", "readonly", "local")
_DECLARATIONS_OF_BASH = (*_DECLARATIONS, "declare", "typeset")
_CLOSING = frozenset(("then", "elif", "else", "fi", "do", "done", "esac", "}"))
_RESERVED = re.compile(
    r"(if|then|elif|else|fi|while|until|for|select|do|done|case|esac|in|function|time|!|\{|\}|\[\[)"
    r"(?=[\s;&|<>()]|\Z)"
)
_REDIRECTION = re.compile(r"(?:\d+(?=[<>]))?(<<<|<<-|<<|<>|<&|>&|>>|>\||<(?!\()|>(?!\())")
_WRITES = (">", ">>", ">|", "&>", "&>>")
_REDIRECTION_OF_BOTH = re.compile(r"(&>>?)")
_REDIRECTION_TO_VARIABLE = re.compile(r"\{\w+\}[<>]")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\[[^\]\s]*\])?(\+?)=", re.ASCII)
_FUNCTION = re.compile(r"([\w.:@%+,/-]+)[ \t]*\([ \t]*\)")


class ShellParser:
    """A recursive-descent parser. Every method raises UnsupportedSyntax for what it cannot parse.

    :param compounds: parses each compound command from behind its reserved word, such as `if`.
    """

    def __init__(self, lexer: Lexer, compounds: Mapping[str, Callable[["ShellParser"], Statement]]) -> None:
        self.lexer = lexer
        self._depth = 0
        self._compounds = compounds

    def parse_statements(self, *, one_line: bool = False) -> Statement:
        """Parse statements up to a closing word or parenthesis, or up to the end of the line."""
        lexer = self.lexer
        lexer.skip_lines()
        found: list[Statement] = []
        while not self._is_closed():
            statement = self._parse_and_or()
            lexer.skip_blanks()
            if lexer.take("&"):
                statement = Subshell((statement,))
            elif not (lexer.char in ("", "\n") or self._is_closed()):
                lexer.need(";")
            found.append(statement)
            lexer.skip_blanks()
            ends = lexer.char in ("", "\n")
            lexer.skip_lines()
            if one_line and ends:
                return StatementList(tuple(found))
        if one_line:
            raise UnsupportedSyntax
        return StatementList(tuple(found))

    def _is_closed(self) -> bool:
        lexer = self.lexer
        return (
            lexer.char in ("", ")")
            or lexer.starts_with(";;")
            or lexer.starts_with(";&")
            or self.peek_reserved() in _CLOSING
        )

    def peek_reserved(self) -> str:
        """The reserved word at the current position, or an empty string."""
        found = _RESERVED.match(self.lexer.text, self.lexer.at)
        return found.group() if found else ""

    def need(self, reserved: str) -> None:
        if self.peek_reserved() != reserved:
            raise UnsupportedSyntax
        self.lexer.at += len(reserved)

    def parse_word(self) -> ShellWord:
        return self.lexer.read_word(self.parse_nested)

    def parse_nested(self, end: str) -> Statement:
        """Parse statements up to, but not including, this text."""
        statements = self.parse_statements()
        if not self.lexer.starts_with(end):
            raise UnsupportedSyntax
        return statements

    def _parse_and_or(self) -> Statement:
        lexer = self.lexer
        parts = [("", self._parse_pipeline())]
        lexer.skip_blanks()
        while (operator := "&&" if lexer.take("&&") else "||" if lexer.take("||") else "") != "":
            lexer.skip_lines()
            parts.append((operator, self._parse_pipeline()))
            lexer.skip_blanks()
        return AndOrList(tuple(parts)) if len(parts) > 1 else parts[0][1]

    def _parse_pipeline(self) -> Statement:
        lexer = self.lexer
        while (reserved := self.peek_reserved()) in ("!", "time") and (reserved == "!" or lexer.bash):
            self.need(reserved)
            lexer.skip_blanks()
            if reserved == "time" and lexer.take("-p"):
                lexer.skip_blanks()
        parts = [self.parse_command()]
        lexer.skip_blanks()
        while lexer.starts_with("|") and not lexer.starts_with("||"):
            lexer.need("|")
            if lexer.bash:
                lexer.take("&")
            lexer.skip_lines()
            parts.append(self.parse_command())
            lexer.skip_blanks()
        return Subshell(tuple(parts)) if len(parts) > 1 else parts[0]

    def parse_command(self) -> Statement:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnsupportedSyntax
        try:
            return self._parse_any_command()
        finally:
            self._depth -= 1

    def _parse_any_command(self) -> Statement:
        lexer = self.lexer
        reserved = self.peek_reserved()
        function = _FUNCTION.match(lexer.text, lexer.at)
        if reserved in self._compounds:
            self.need(reserved)
            statement = self._compounds[reserved](self)
        elif reserved in _CLOSING:
            raise UnsupportedSyntax
        elif lexer.bash and lexer.take("(("):
            statement = OpaqueCommand((), lexer.read_arithmetic_command())
        elif lexer.take("("):
            statement = Subshell((self.parse_statements(),))
            lexer.need(")")
        elif function:
            lexer.at = function.end()
            lexer.skip_lines()
            return FunctionDefinition(function.group(1), self.parse_command())
        else:
            return self._parse_simple()
        aside = self._parse_redirections()
        if not aside.targets:
            return statement
        return StatementList((OpaqueCommand(aside.targets, _NOTHING), statement))

    def _parse_simple(self) -> SimpleCommand:
        lexer = self.lexer
        assignments: list[Assignment] = []
        words: list[ShellWord | Assignment] = []
        redirected: list[Redirections] = []
        declarations = _DECLARATIONS_OF_BASH if lexer.bash else _DECLARATIONS
        while True:
            lexer.skip_blanks()
            redirected.append(self._parse_redirections())
            if not self.is_at_word():
                break
            declares = bool(words) and isinstance(words[0], ShellWord) and words[0].literal in declarations
            assignment = self._parse_assignment() if declares or not words else None
            if assignment is None:
                words.append(self.parse_word())
            elif words:
                words.append(assignment)
            else:
                assignments.append(assignment)
        aside = Redirections(
            tuple(chain.from_iterable(each.targets for each in redirected)),
            tuple(chain.from_iterable(each.writes for each in redirected)),
            tuple(chain.from_iterable(each.documents for each in redirected)),
            any(each.appends for each in redirected),
        )
        if lexer.char == "(" or not (assignments or words or any(aside)):
            raise UnsupportedSyntax
        simple = SimpleCommand(tuple(assignments), tuple(words), aside)
        return simple._replace(declares=simple.name in declarations)

    def is_at_word(self) -> bool:
        lexer = self.lexer
        return lexer.is_at_substitution() or not (lexer.char == "" or lexer.char in OPERATORS)

    def _parse_assignment(self) -> Assignment | None:
        lexer = self.lexer
        found = _ASSIGNMENT.match(lexer.text, lexer.at)
        if found is None or ((found.group(2) or found.group(3)) and not lexer.bash):
            return None
        lexer.at = found.end()
        name, appends = found.group(1), bool(found.group(3))
        if lexer.bash and lexer.take("("):
            lexer.skip_lines()
            elements = []
            placed = False
            while not lexer.take(")"):
                placed = placed or lexer.starts_with("[")
                elements.append(self.parse_word())
                lexer.skip_lines()
            return Assignment(name, None, appends, None if placed or found.group(2) else tuple(elements))
        value = self.parse_word() if self.is_at_word() else ShellWord((), lexer.at, lexer.at)
        return Assignment(name, None if found.group(2) else value, appends)

    def _parse_redirections(self) -> Redirections:
        lexer = self.lexer
        words: list[ShellWord] = []
        writes: list[ShellWord] = []
        documents: list[HereDocument] = []
        appends = False
        lexer.skip_blanks()
        while found := (
            _REDIRECTION.match(lexer.text, lexer.at)
            or (_REDIRECTION_OF_BOTH.match(lexer.text, lexer.at) if lexer.bash else None)
        ):
            lexer.at = found.end()
            lexer.skip_blanks()
            word, operator = self.parse_word(), found.group(1)
            if operator in ("<<", "<<-"):
                documents.append(lexer.queue_here_document(word, strips=operator == "<<-"))
            else:
                words.append(word)
                writes += [word] if operator in _WRITES else []
                appends |= operator.endswith(">>")
            lexer.skip_blanks()
        if _REDIRECTION_TO_VARIABLE.match(lexer.text, lexer.at) and lexer.bash:
            raise UnsupportedSyntax
        return Redirections(tuple(words), tuple(writes), tuple(documents), appends)
