"""The cells of a table, in words."""

from dynocheck.core.outcomes import Cell, Scalar


def split_cell(cell: Cell) -> tuple[Scalar, ...]:
    """The values of a cell; an empty one has an empty text."""
    return (cell or ("",)) if isinstance(cell, tuple) else (cell,)


def format_value(part: Scalar) -> str:
    """A value as people read it."""
    match part:
        case None:
            return ""
        case bool():
            return "yes" if part else "no"
    return str(part)


def is_number(cell: Cell) -> bool:
    """Whether there is nothing but numbers in a cell, or nothing at all."""
    return all(
        isinstance(part, int | float | None) and not isinstance(part, bool) for part in split_cell(cell)
    )
