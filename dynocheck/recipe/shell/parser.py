"""Parses a shell script into its syntax tree."""

from functools import lru_cache
from typing import NamedTuple

from dynocheck.recipe.shell.commands import ShellParser
from dynocheck.recipe.shell.compounds import COMPOUNDS, COMPOUNDS_OF_BASH
from dynocheck.recipe.shell.lexer import Lexer
from dynocheck.recipe.shell.syntax import Statement, UnclosedQuote, UnsupportedSyntax, WordPart


class ParsedScript(NamedTuple):
    """One statement for each complete line, and the text from the first unsupported line on.

    `unclosed` is the offset of a quote that does not end.
    """

    lines: tuple[Statement, ...]
    rest: str
    unclosed: int | None = None


@lru_cache(maxsize=64)  # launches, downloads and benchmarks each parse the scripts of a container
def parse(text: str, *, bash: bool) -> ParsedScript:
    """Parse a script as far as its syntax is supported."""
    lexer = Lexer(text, bash=bash)
    parser = ShellParser(lexer, COMPOUNDS_OF_BASH if bash else COMPOUNDS)
    lines: list[Statement] = []
    start = 0
    unclosed = None
    try:
        lexer.skip_lines()
        while lexer.char:
            start = lexer.at
            lines.append(parser.parse_statements(one_line=True))
    except UnclosedQuote as error:
        unclosed = error.at
    except (UnsupportedSyntax, RecursionError):
        pass
    else:
        start = len(text)
    return ParsedScript(tuple(lines), text[start:], unclosed)


def parse_document(text: str, *, bash: bool) -> list[WordPart]:
    """Parse the text of a here-document that expands.

    :raises UnsupportedSyntax: it has an expansion that is not supported.
    """
    lexer = Lexer(text, bash=bash)
    return lexer.read_expanding(ShellParser(lexer, COMPOUNDS_OF_BASH if bash else COMPOUNDS).parse_nested)
