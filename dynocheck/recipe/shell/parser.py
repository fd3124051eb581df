"""Parses a shell script into its syntax tree."""

from functools import lru_cache

from dynocheck.recipe.shell.commands import ShellParser
from dynocheck.recipe.shell.compounds import COMPOUNDS, COMPOUNDS_OF_BASH
from dynocheck.recipe.shell.lexer import Lexer
from dynocheck.recipe.shell.syntax import Statement, UnsupportedSyntax


@lru_cache(maxsize=64)  # launches, downloads and benchmarks each parse the scripts of a container
def parse(text: str, *, bash: bool) -> tuple[tuple[Statement, ...], str]:
    """Parse a script as far as its syntax is supported.

    :return: one statement for each complete line, and the text from the first unsupported line on.
    """
    lexer = Lexer(text, bash=bash)
    parser = ShellParser(lexer, COMPOUNDS_OF_BASH if bash else COMPOUNDS)
    lines: list[Statement] = []
    start = 0
    try:
        lexer.skip_lines()
        while lexer.char:
            start = lexer.at
            lines.append(parser.parse_statements(one_line=True))
    except (UnsupportedSyntax, RecursionError):
        return tuple(lines), text[start:]
    return tuple(lines), ""
