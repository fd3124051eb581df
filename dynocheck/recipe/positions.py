"""Finds the lines and columns of words inside a string of a manifest, such as a script."""

from collections.abc import Sequence

from dynocheck.facts import Value
from dynocheck.recipe.shell import Token
from dynocheck.recipe.yaml_loader import is_literal

Position = tuple[int, int]  # line and column, from 1

_SEARCH_LINES = 200


def locate_line(element: Value, line: int, lines: Sequence[str]) -> Position:
    """The position of a line of a string; the string's own unless it is a literal block (`|`).

    :param line: the line in the string, from 0.
    :param lines: the lines of the file.
    """
    if not is_literal(element, lines) or element.line + line >= len(lines):
        return element.line, element.column
    row = lines[element.line + line]
    return element.line + 1 + line, len(row) - len(row.lstrip()) + 1


def locate_token(
    token: Token, element: Value, cursor: Position, lines: Sequence[str]
) -> tuple[Position, Position]:
    """The position of a word at or after a cursor, and the position behind it.

    Both are the cursor if the file spells the word differently, for instance with YAML escapes.
    """
    fragment = token.spelled.partition("\n")[0]
    line, column = max(cursor, locate_line(element, token.line, lines))
    for number in range(line, min(line + _SEARCH_LINES, len(lines) + 1)) if fragment else ():
        start = lines[number - 1].find(fragment, column - 1 if number == line else 0)
        if start >= 0:
            return (number, start + 1), (number, start + 1 + len(fragment))
    return (line, column), cursor
