"""A table of a report, in the columns of a terminal."""

import re
from collections.abc import Callable, Iterator
from itertools import zip_longest

from rich.cells import cell_len, chop_cells

from dynocheck.outcomes import Cell, Scalar, Table

_GAP = 2
_SEAM = re.compile(r"(?<=[/-])")


def laid_out(table: Table, width: int, show: Callable[[str], str]) -> Iterator[str]:
    """Its header and rows as lines that the width holds; what is too wide for that is wrapped.

    :param width: in cells of the terminal.
    :param show: makes foreign text harmless.
    """
    rows = [[[show(_words(part)) for part in _parts(cell)] for cell in row] for row in table.rows]
    texts = [[[show(column)] for column in table.columns], *rows]
    wanted = [max(cell_len(part) for cell in column for part in cell) for column in zip(*texts, strict=True)]
    widths = _widths(wanted, width)
    right = [all(_is_number(cell) for cell in column) for column in zip(*table.rows, strict=True)]
    for row in texts:
        for line in zip_longest(*_columns(row, widths), fillvalue=""):
            yield (" " * _GAP).join(map(_padded, line, widths, right)).rstrip()


def _parts(cell: Cell) -> tuple[Scalar, ...]:
    return (cell or ("",)) if isinstance(cell, tuple) else (cell,)


def _words(part: Scalar) -> str:
    match part:
        case None:
            return ""
        case bool():
            return "yes" if part else "no"
    return str(part)


def _is_number(cell: Cell) -> bool:
    return all(isinstance(part, int | float | None) and not isinstance(part, bool) for part in _parts(cell))


def _widths(wanted: list[int], width: int) -> list[int]:
    """The widths that fit, taken from the widest column first."""
    widths = list(wanted)
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    while over > 0 and max(widths, default=0) > 1:
        widths[widths.index(max(widths))] -= 1
        over -= 1
    return widths


def _columns(row: list[list[str]], widths: list[int]) -> list[list[str]]:
    """The lines of each cell. The parts of cells that have several begin on the same lines."""
    cells = [[_wrapped(part, room) for part in cell] for cell, room in zip(row, widths, strict=True)]
    several = [cell for cell in cells if len(cell) > 1]
    heights = [max(map(len, parts)) for parts in zip_longest(*several, fillvalue=())]
    return [_stacked(cell, heights) if len(cell) > 1 else cell[0] for cell in cells]


def _stacked(parts: list[list[str]], heights: list[int]) -> list[str]:
    lines = []
    for part, height in zip(parts, heights, strict=False):
        lines += part + [""] * (height - len(part))
    return lines


def _wrapped(said: str, room: int) -> list[str]:
    """Lines of whole words; a word longer than the room is broken, behind a slash or hyphen if it has one."""
    lines = [""]
    for word in said.split():
        if lines[-1] and cell_len(f"{lines[-1]} {word}") <= room:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for piece in _pieces(word, room):
            if cell_len(lines[-1] + piece) <= room:
                lines[-1] += piece
            else:
                lines.append(piece)
    return lines[1:] or lines


def _pieces(word: str, room: int) -> Iterator[str]:
    if cell_len(word) <= room:
        yield word
        return
    for part in _SEAM.split(word):
        yield from chop_cells(part, max(room, 1))


def _padded(said: str, width: int, right: bool) -> str:
    padding = " " * (width - cell_len(said))
    return padding + said if right else said + padding
