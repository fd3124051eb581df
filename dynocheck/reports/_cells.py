"""Cells of a table as text."""

from dynocheck.core.outcomes import Cell, Scalar


def split_cell(cell: Cell) -> tuple[Scalar, ...]:
    """The values of a cell; an empty cell has one empty text."""
    return (cell or ("",)) if isinstance(cell, tuple) else (cell,)


def format_value(part: Scalar) -> str:
    """A value as text: empty for None, yes or no for a bool."""
    match part:
        case None:
            return ""
        case bool():
            return "yes" if part else "no"
    return str(part)


def is_number(cell: Cell) -> bool:
    """Whether a cell holds only numbers, or nothing."""
    return all(
        isinstance(part, int | float | None) and not isinstance(part, bool) for part in split_cell(cell)
    )
