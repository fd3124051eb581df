"""Parses compound commands (`if`, `for`, `case` ...), each from behind its reserved word."""

import re
from collections.abc import Callable, Mapping

from dynocheck.recipe.shell.commands import ShellParser
from dynocheck.recipe.shell.lexer import NAME
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

_NOTHING: frozenset[str] = frozenset()
_TEST_END = re.compile(r"\]\](?=[\s;&|)]|\Z)")


def _parse_if(parser: ShellParser) -> Statement:
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


def _parse_while(parser: ShellParser) -> Statement:
    condition = parser.parse_statements()
    return Loop(_NOTHING, StatementList((condition, _parse_do(parser))))


def _parse_do(parser: ShellParser) -> Statement:
    parser.need("do")
    body = parser.parse_statements()
    parser.need("done")
    return body


def _parse_for(parser: ShellParser) -> Statement:
    lexer = parser.lexer
    lexer.skip_blanks()
    words: list[ShellWord] = []
    if lexer.bash and lexer.take("(("):
        names = lexer.read_arithmetic_command()
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


def _parse_case(parser: ShellParser) -> Statement:
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
        if not (lexer.bash and (lexer.take(";;&") or lexer.take(";&"))):
            lexer.take(";;")
        lexer.skip_lines()
    parser.need("esac")
    return Branches(OpaqueCommand(tuple(words), _NOTHING), tuple(bodies))


def _parse_braces(parser: ShellParser) -> Statement:
    body = parser.parse_statements()
    parser.need("}")
    return body


def _parse_test(parser: ShellParser) -> Statement:
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


def _parse_function(parser: ShellParser) -> Statement:
    lexer = parser.lexer
    lexer.skip_blanks()
    name = parser.parse_word()
    lexer.skip_blanks()
    if lexer.take("("):
        lexer.skip_blanks()
        lexer.need(")")
    lexer.skip_lines()
    return FunctionDefinition(name.literal or "", parser.parse_command())


COMPOUNDS: Mapping[str, Callable[[ShellParser], Statement]] = {
    "if": _parse_if,
    "while": _parse_while,
    "until": _parse_while,
    "for": _parse_for,
    "case": _parse_case,
    "{": _parse_braces,
}
COMPOUNDS_OF_BASH = {**COMPOUNDS, "[[": _parse_test, "function": _parse_function, "select": _parse_for}
