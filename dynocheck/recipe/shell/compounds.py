"""The compound commands of a shell: `if`, `for`, `case` and their like, each read from behind its name."""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dynocheck.recipe.shell.lexer import NAME, sets_in_arithmetic
from dynocheck.recipe.shell.syntax import (
    Branches,
    Function,
    Loop,
    NotUnderstood,
    Sequence,
    Statement,
    Unread,
    Word,
)

if TYPE_CHECKING:
    from dynocheck.recipe.shell.parser import Parser

_NOTHING: frozenset[str] = frozenset()
_TEST_END = re.compile(r"\]\](?=[\s;&|)]|\Z)")


def parentheses(parser: "Parser") -> frozenset[str]:
    """What `(( ... ))` sets, read from behind its start."""
    lexer = parser.lexer
    start, end = lexer.at, lexer.text.find("))", lexer.at)
    expression = lexer.text[start:end]
    if end < 0 or expression.count("(") != expression.count(")") or set(expression) & set("'\"\\`"):
        raise NotUnderstood
    lexer.at = end + 2
    return sets_in_arithmetic(expression)


def _if(parser: "Parser") -> Statement:
    condition = parser.statements()
    parser.need("then")
    bodies = [parser.statements()]
    if parser.reserved() == "elif":
        parser.need("elif")
        return Branches(condition, (*bodies, _if(parser)))
    if parser.reserved() == "else":
        parser.need("else")
        bodies.append(parser.statements())
    parser.need("fi")
    return Branches(condition, tuple(bodies))


def _while(parser: "Parser") -> Statement:
    condition = parser.statements()
    return Loop(_NOTHING, Sequence((condition, _do(parser))))


def _do(parser: "Parser") -> Statement:
    parser.need("do")
    body = parser.statements()
    parser.need("done")
    return body


def _for(parser: "Parser") -> Statement:
    lexer = parser.lexer
    lexer.blanks()
    words: list[Word] = []
    if lexer.bash and lexer.take("(("):
        names = parentheses(parser)
    else:
        found = NAME.match(lexer.text, lexer.at)
        if found is None:
            raise NotUnderstood
        names, lexer.at = frozenset((found.group(),)), found.end()
        lexer.lines()
        if parser.reserved() == "in":
            parser.need("in")
            lexer.blanks()
            while parser.at_word():
                words.append(parser.word())
                lexer.blanks()
    lexer.blanks()
    lexer.take(";")
    lexer.lines()
    return Loop(names, Sequence((Unread(tuple(words), _NOTHING), _do(parser))))


def _case(parser: "Parser") -> Statement:
    lexer = parser.lexer
    lexer.blanks()
    words = [parser.word()]
    lexer.lines()
    parser.need("in")
    lexer.lines()
    bodies = []
    while parser.reserved() != "esac":
        lexer.take("(")
        lexer.blanks()
        words.append(parser.word())
        lexer.blanks()
        while lexer.take("|"):
            lexer.blanks()
            words.append(parser.word())
            lexer.blanks()
        lexer.need(")")
        bodies.append(parser.statements())
        if lexer.take(";;") and lexer.char == "&":
            raise NotUnderstood
        lexer.lines()
    parser.need("esac")
    return Branches(Unread(tuple(words), _NOTHING), tuple(bodies))


def _braces(parser: "Parser") -> Statement:
    body = parser.statements()
    parser.need("}")
    return body


def _test(parser: "Parser") -> Statement:
    lexer = parser.lexer
    words = []
    lexer.lines()
    while not _TEST_END.match(lexer.text, lexer.at):
        if lexer.char and lexer.char in "<>()&|":
            lexer.at += 1
        else:
            words.append(parser.word())
        lexer.lines()
    lexer.need("]]")
    return Unread(tuple(words), _NOTHING)


def _named_function(parser: "Parser") -> Statement:
    lexer = parser.lexer
    lexer.blanks()
    name = parser.word()
    lexer.blanks()
    if lexer.take("("):
        lexer.blanks()
        lexer.need(")")
    lexer.lines()
    return Function(name.literal or "", parser.command())


COMPOUNDS: Mapping[str, Callable[["Parser"], Statement]] = {
    "if": _if,
    "while": _while,
    "until": _while,
    "for": _for,
    "case": _case,
    "{": _braces,
}
COMPOUNDS_OF_BASH = {**COMPOUNDS, "[[": _test, "function": _named_function, "select": _for}
