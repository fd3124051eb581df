"""Lays out a table, and wraps text, for the width of a terminal."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len, chop_cells

from dynocheck.core.outcomes import Table
from dynocheck.reports._cells import format_value, is_number, split_cell

Column = Sequence[list[str]]  # the cells of a column, each a list of values

_GAP = 2
_SEAM = re.compile(r"(?<=[/-])")


def lay_out(table: Table, width: int, show: Callable[[str], str]) -> Iterator[str]:
    """The header and rows of a table as lines.

    In a table that is too wide, the columns before the first with several values in a cell stand above the
    others; what is still too wide is wrapped. Columns whose words have no room beside each other are written
    one after the other, each value with the name of its column.

    :param width: in terminal cells.
    :param show: sanitizes text.
    """
    rows = [[[show(format_value(part)) for part in split_cell(cell)] for cell in row] for row in table.rows]
    texts = [[[show(column)] for column in table.columns], *rows]
    columns = list(zip(*texts, strict=True))
    right = [all(is_number(cell) for cell in column) for column in zip(*table.rows, strict=True)]
    if sum(_measure_widest(column) for column in columns) + _GAP * (len(columns) - 1) <= width:
        heads = len(columns)
    else:
        single = [all(len(cell) == 1 for cell in column) for column in columns]
        heads = 1 if all(single) else max(single.index(False), 1)
    above = _lay_out_rows(columns[:heads], right[:heads], width)
    below = _lay_out_rows(columns[heads:], right[heads:], width - _GAP)
    for head, rest in zip_longest(above, below, fillvalue=()):
        yield from head
        yield from (f"{' ' * _GAP}{line}" for line in rest)


def _lay_out_rows(columns: Sequence[Column], right: list[bool], width: int) -> Iterator[list[str]]:
    """The lines of each row of these columns."""
    if sum(map(_measure_longest_word, columns)) + _GAP * (len(columns) - 1) > width and len(columns) > 1:
        yield from _list_values(columns, width)
        return
    widths = _fit_widths(columns, width)
    for row in zip(*columns, strict=True):
        lines = zip_longest(*_wrap_cells(row, widths), fillvalue="")
        yield [(" " * _GAP).join(map(_pad, line, widths, right)).rstrip() for line in lines]


def _list_values(columns: Sequence[Column], width: int) -> Iterator[list[str]]:
    """The values of each row after the names of their columns, those of one index together; no header."""
    (names, *rows) = zip(*columns, strict=True)
    yield []
    for row in rows:
        lines: list[str] = []
        for values in zip_longest(*row, fillvalue=""):
            named = [f"{name[0]} {value}" for name, value in zip(names, values, strict=True) if value]
            first, *others = wrap(", ".join(named), width - _GAP)
            lines += [first] if named else []
            lines += (" " * _GAP + line for line in others)
        yield lines


def _measure_widest(column: Column) -> int:
    return max(cell_len(part) for cell in column for part in cell)


def _measure_longest_word(column: Column) -> int:
    return max((cell_len(word) for cell in column for part in cell for word in part.split()), default=1)


def _fit_widths(columns: Sequence[Column], width: int) -> list[int]:
    """Column widths that fit, shrinking the widest first, and breaking words last."""
    widths = [_measure_widest(column) for column in columns]
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    for least in ([_measure_longest_word(column) for column in columns], [1 for _ in columns]):
        while over > 0 and (wide := [n for n, size in enumerate(widths) if size > least[n]]):
            widths[max(wide, key=lambda n: widths[n])] -= 1
            over -= 1
    return widths


def _wrap_cells(row: Sequence[list[str]], widths: list[int]) -> list[list[str]]:
    """The lines of each cell. Values of the same index start on the same line in every cell."""
    cells = [[wrap(part, room) for part in cell] for cell, room in zip(row, widths, strict=True)]
    several = [cell for cell in cells if len(cell) > 1]
    heights = [max(map(len, parts)) for parts in zip_longest(*several, fillvalue=())]
    return [_stack(cell, heights) if len(cell) > 1 else cell[0] for cell in cells]


def _stack(parts: list[list[str]], heights: list[int]) -> list[str]:
    lines = []
    for part, height in zip(parts, heights, strict=False):
        lines += part + [""] * (height - len(part))
    return lines


def wrap(text: str, room: int) -> list[str]:
    """Lines of whole words; a word that does not fit is broken, after a slash or hyphen if it has one."""
    lines = [""]
    for word in text.split():
        if lines[-1] and cell_len(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for piece in _break_word(word, room):
            if cell_len(lines[-1] + piece) <= room:
                lines[-1] += piece
            else:
                lines.append(piece)
    return lines[1:] or lines


def _break_word(word: str, room: int) -> Iterator[str]:
    if cell_len(word) <= room:
        yield word
        return
    for part in _SEAM.split(word):
        yield from chop_cells(part, max(room, 1))


def _pad(text: str, width: int, right: bool) -> str:
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding
