"""A shell script read into its tree, as POSIX has it and with what bash adds."""

import re
from functools import lru_cache

from dynocheck.recipe.shell.compounds import COMPOUNDS, COMPOUNDS_OF_BASH, parentheses
from dynocheck.recipe.shell.lexer import MAX_DEPTH, OPERATORS, Lexer
from dynocheck.recipe.shell.syntax import (
    Apart,
    Assignment,
    Chain,
    Function,
    NotUnderstood,
    Sequence,
    Simple,
    Statement,
    Unread,
    Word,
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
_REDIRECTION_OF_BOTH = re.compile(r"(&>>?)")
_REDIRECTION_TO_VARIABLE = re.compile(r"\{\w+\}[<>]")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\[[^\]\s]*\])?(\+?)=", re.ASCII)
_FUNCTION = re.compile(r"([\w.:@%+,/-]+)[ \t]*\([ \t]*\)")


@lru_cache(maxsize=64)  # a container is asked for its engines, its downloads and its load alike
def parse(text: str, *, bash: bool) -> tuple[tuple[Statement, ...], str]:
    """The statements of a script, a line each, and its rest from the line that is not understood on."""
    lexer = Lexer(text, bash=bash)
    parser = Parser(lexer)
    lines: list[Statement] = []
    start = 0
    try:
        lexer.lines()
        while lexer.char:
            start = lexer.at
            lines.append(parser.statements(one_line=True))
    except (NotUnderstood, RecursionError):
        return tuple(lines), text[start:]
    return tuple(lines), ""


class Parser:
    def __init__(self, lexer: Lexer) -> None:
        self.lexer = lexer
        self._depth = 0
        self._compounds = COMPOUNDS_OF_BASH if lexer.bash else COMPOUNDS

    def statements(self, *, one_line: bool = False) -> Statement:
        """Statements up to what closes them, or up to the end of the line."""
        lexer = self.lexer
        lexer.lines()
        found: list[Statement] = []
        while not self._closed():
            statement = self._chain()
            lexer.blanks()
            if lexer.take("&"):
                statement = Apart((statement,))
            elif not (lexer.char in ("", "\n") or self._closed()):
                lexer.need(";")
            found.append(statement)
            lexer.blanks()
            ends = lexer.char in ("", "\n")
            lexer.lines()
            if one_line and ends:
                return Sequence(tuple(found))
        if one_line:
            raise NotUnderstood
        return Sequence(tuple(found))

    def _closed(self) -> bool:
        lexer = self.lexer
        return lexer.char in ("", ")") or lexer.sees(";;") or lexer.sees(";&") or self.reserved() in _CLOSING

    def reserved(self) -> str:
        """The reserved word that stands here, or an empty string."""
        found = _RESERVED.match(self.lexer.text, self.lexer.at)
        return found.group() if found else ""

    def need(self, reserved: str) -> None:
        if self.reserved() != reserved:
            raise NotUnderstood
        self.lexer.at += len(reserved)

    def word(self) -> Word:
        return self.lexer.word(self._nested)

    def _nested(self, end: str) -> None:
        self.statements()
        if not self.lexer.sees(end):
            raise NotUnderstood

    def _chain(self) -> Statement:
        lexer = self.lexer
        parts = [("", self._pipeline())]
        lexer.blanks()
        while (operator := "&&" if lexer.take("&&") else "||" if lexer.take("||") else "") != "":
            lexer.lines()
            parts.append((operator, self._pipeline()))
            lexer.blanks()
        return Chain(tuple(parts)) if len(parts) > 1 else parts[0][1]

    def _pipeline(self) -> Statement:
        lexer = self.lexer
        while (reserved := self.reserved()) in ("!", "time") and (reserved == "!" or lexer.bash):
            self.need(reserved)
            lexer.blanks()
            if reserved == "time" and lexer.take("-p"):
                lexer.blanks()
        parts = [self.command()]
        lexer.blanks()
        while lexer.sees("|") and not lexer.sees("||"):
            lexer.need("|")
            if lexer.bash:
                lexer.take("&")
            lexer.lines()
            parts.append(self.command())
            lexer.blanks()
        return Apart(tuple(parts)) if len(parts) > 1 else parts[0]

    def command(self) -> Statement:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood
        try:
            return self._any_command()
        finally:
            self._depth -= 1

    def _any_command(self) -> Statement:
        lexer = self.lexer
        reserved = self.reserved()
        function = _FUNCTION.match(lexer.text, lexer.at)
        if reserved in self._compounds:
            self.need(reserved)
            statement = self._compounds[reserved](self)
        elif reserved in _CLOSING:
            raise NotUnderstood
        elif lexer.bash and lexer.take("(("):
            statement = Unread((), parentheses(self))
        elif lexer.take("("):
            statement = Apart((self.statements(),))
            lexer.need(")")
        elif function:
            lexer.at = function.end()
            lexer.lines()
            return Function(function.group(1), self.command())
        else:
            return self._simple()
        aside = self._redirections()
        return Sequence((Unread(aside, _NOTHING), statement)) if aside else statement

    def _simple(self) -> Simple:
        lexer = self.lexer
        assignments: list[Assignment] = []
        words: list[Word | Assignment] = []
        aside: list[Word] = []
        declarations = _DECLARATIONS_OF_BASH if lexer.bash else _DECLARATIONS
        while True:
            lexer.blanks()
            aside += self._redirections()
            if not self.at_word():
                break
            declares = bool(words) and isinstance(words[0], Word) and words[0].literal in declarations
            assignment = self._assignment() if declares or not words else None
            if assignment is None:
                words.append(self.word())
            elif words:
                words.append(assignment)
            else:
                assignments.append(assignment)
        if lexer.char == "(" or not (assignments or words or aside):
            raise NotUnderstood
        simple = Simple(tuple(assignments), tuple(words), tuple(aside))
        return simple._replace(declares=simple.name in declarations)

    def at_word(self) -> bool:
        lexer = self.lexer
        return lexer.substitutes() or not (lexer.char == "" or lexer.char in OPERATORS)

    def _assignment(self) -> Assignment | None:
        lexer = self.lexer
        found = _ASSIGNMENT.match(lexer.text, lexer.at)
        if found is None or ((found.group(2) or found.group(3)) and not lexer.bash):
            return None
        lexer.at = found.end()
        name, appends = found.group(1), bool(found.group(3))
        if lexer.bash and lexer.take("("):
            lexer.lines()
            elements = []
            placed = False
            while not lexer.take(")"):
                placed = placed or lexer.sees("[")
                elements.append(self.word())
                lexer.lines()
            return Assignment(name, None, appends, None if placed or found.group(2) else tuple(elements))
        value = self.word() if self.at_word() else Word((), lexer.at, lexer.at)
        return Assignment(name, None if found.group(2) else value, appends)

    def _redirections(self) -> tuple[Word, ...]:
        lexer = self.lexer
        words = []
        lexer.blanks()
        while found := (
            _REDIRECTION.match(lexer.text, lexer.at)
            or (_REDIRECTION_OF_BOTH.match(lexer.text, lexer.at) if lexer.bash else None)
        ):
            lexer.at = found.end()
            lexer.blanks()
            words.append(self.word())
            if found.group(1) in ("<<", "<<-"):
                lexer.here_document(words.pop(), strips=found.group(1) == "<<-")
            lexer.blanks()
        if _REDIRECTION_TO_VARIABLE.match(lexer.text, lexer.at) and lexer.bash:
            raise NotUnderstood
        return tuple(words)
