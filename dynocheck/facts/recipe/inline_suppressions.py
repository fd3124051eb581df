"""Inline comments that suppress findings."""

import msgspec


class IgnoreComment(msgspec.Struct, frozen=True):
    """A comment that suppresses findings of checks, named by ids and globs, with the reason.

    It applies to the lines from `first` to `last`, or to the whole file if `last` is None. It has no patterns
    if it could not be parsed.
    """

    file: str
    line: int
    column: int
    patterns: tuple[str, ...]
    reason: str
    first: int
    last: int | None

    def covers(self, file: str, line: int | None) -> bool:
        """Whether it applies to a finding at this place; `line` is None for a finding about a whole file."""
        if file != self.file:
            return False
        return self.last is None or (line is not None and self.first <= line <= self.last)
