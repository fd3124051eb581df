"""What rules that know a text by a part of it have in common."""

import re
from functools import cached_property

import msgspec


class TextRule(msgspec.Struct, frozen=True, dict=True):
    """A part of a text, what it means and what to do.

    `pattern` is a regular expression for the part. `example` is a text that has it; `source` is where it is
    written.
    """

    pattern: str
    means: str
    fix: str
    example: str
    source: str

    @cached_property
    def expression(self) -> re.Pattern[str]:
        return re.compile(self.pattern)
