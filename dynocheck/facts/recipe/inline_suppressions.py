"""What people have written beside a finding that is to be ignored."""

import msgspec


class IgnoreComment(msgspec.Struct, frozen=True):
    """A comment that names checks by ids and globs, and why what they find is to be ignored.

    It means findings on the lines from `first` to `last`, or in the whole file when `last` is None. One
    without patterns could not be understood.
    """

    file: str
    line: int
    column: int
    patterns: tuple[str, ...]
    reason: str
    first: int
    last: int | None

    def covers(self, file: str, line: int | None) -> bool:
        """Whether it means findings at this place; those of a file as a whole have no line."""
        if file != self.file:
            return False
        return self.last is None or (line is not None and self.first <= line <= self.last)
