"""The compound commands of a shell: `if`, `for`, `case` and their like, each read from behind its name."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dynocheck.recipe.shell.lexer import NAME, find_arithmetic_names
from dynocheck.recipe.shell.syntax import (
    Branches,
    FunctionDefinition,
    Loop,
    OpaqueCommand,
    ShellWord,
    Statement,
    StatementList,
    UnsupportedSyntax,
)

if TYPE_CHECKING:
    from dynocheck.recipe.shell.parser import ShellParser

_NOTHING: frozenset[str] = frozenset()
_TEST_END = re.compile(r"\]\](?=[\s;&|)]|\Z)")


def parse_arithmetic(parser: "ShellParser") -> frozenset[str]:
    """What `(( ... ))` sets, read from behind its start."""
    lexer = parser.lexer
    start, end = lexer.at, lexer.text.find("))", lexer.at)
    expression = lexer.text[start:end]
    if end < 0 or expression.count("(") != expression.count(")") or set(expression) & set("'\"\\`"):
        raise UnsupportedSyntax
    lexer.at = end + 2
    return find_arithmetic_names(expression)


def _parse_if(parser: "ShellParser") -> Statement:
    condition = parser.parse_statements()
    parser.need("then")
    bodies = [parser.parse_statements()]
    if parser.peek_reserved() == "elif":
        parser.need("elif")
        return Branches(condition, (*bodies, _parse_if(parser)))
    if parser.peek_reserved() == "else":
        parser.need("else")
        bodies.append(parser.parse_statements())
    parser.need("fi")
    return Branches(condition, tuple(bodies))


def _parse_while(parser: "ShellParser") -> Statement:
    condition = parser.parse_statements()
    return Loop(_NOTHING, StatementList((condition, _parse_do(parser))))


def _parse_do(parser: "ShellParser") -> Statement:
    parser.need("do")
    body = parser.parse_statements()
    parser.need("done")
    return body


def _parse_for(parser: "ShellParser") -> Statement:
    lexer = parser.lexer
    lexer.skip_blanks()
    words: list[ShellWord] = []
    if lexer.bash and lexer.take("(("):
        names = parse_arithmetic(parser)
    else:
        found = NAME.match(lexer.text, lexer.at)
        if found is None:
            raise UnsupportedSyntax
        names, lexer.at = frozenset((found.group(),)), found.end()
        lexer.skip_lines()
        if parser.peek_reserved() == "in":
            parser.need("in")
            lexer.skip_blanks()
            while parser.is_at_word():
                words.append(parser.parse_word())
                lexer.skip_blanks()
    lexer.skip_blanks()
    lexer.take(";")
    lexer.skip_lines()
    return Loop(names, StatementList((OpaqueCommand(tuple(words), _NOTHING), _parse_do(parser))))


def _parse_case(parser: "ShellParser") -> Statement:
    lexer = parser.lexer
    lexer.skip_blanks()
    words = [parser.parse_word()]
    lexer.skip_lines()
    parser.need("in")
    lexer.skip_lines()
    bodies = []
    while parser.peek_reserved() != "esac":
        lexer.take("(")
        lexer.skip_blanks()
        words.append(parser.parse_word())
        lexer.skip_blanks()
        while lexer.take("|"):
            lexer.skip_blanks()
            words.append(parser.parse_word())
            lexer.skip_blanks()
        lexer.need(")")
        bodies.append(parser.parse_statements())
        if lexer.take(";;") and lexer.char == "&":
            raise UnsupportedSyntax
        lexer.skip_lines()
    parser.need("esac")
    return Branches(OpaqueCommand(tuple(words), _NOTHING), tuple(bodies))


def _parse_braces(parser: "ShellParser") -> Statement:
    body = parser.parse_statements()
    parser.need("}")
    return body


def _parse_test(parser: "ShellParser") -> Statement:
    lexer = parser.lexer
    words = []
    lexer.skip_lines()
    while not _TEST_END.match(lexer.text, lexer.at):
        if lexer.char and lexer.char in "<>()&|":
            lexer.at += 1
        else:
            words.append(parser.parse_word())
        lexer.skip_lines()
    lexer.need("]]")
    return OpaqueCommand(tuple(words), _NOTHING)


def _parse_function(parser: "ShellParser") -> Statement:
    lexer = parser.lexer
    lexer.skip_blanks()
    name = parser.parse_word()
    lexer.skip_blanks()
    if lexer.take("("):
        lexer.skip_blanks()
        lexer.need(")")
    lexer.skip_lines()
    return FunctionDefinition(name.literal or "", parser.parse_command())


COMPOUNDS: Mapping[str, Callable[["ShellParser"], Statement]] = {
    "if": _parse_if,
    "while": _parse_while,
    "until": _parse_while,
    "for": _parse_for,
    "case": _parse_case,
    "{": _parse_braces,
}
COMPOUNDS_OF_BASH = {**COMPOUNDS, "[[": _parse_test, "function": _parse_function, "select": _parse_for}
