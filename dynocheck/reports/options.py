"""What a reader may choose about a report."""

import os
import shutil
from typing import Literal, TextIO

import msgspec


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to show a report; each format heeds what concerns it.

    `strict`: warnings count as not fit. `junit_unknown`: the element for a check that could not look.
    `width` and `color`: None takes what the terminal has, and 80 columns without colour anywhere else.
    `encoding`: what the reader's stream can carry; the rest is shown as escapes.
    """

    strict: bool = False
    junit_unknown: Literal["error", "skipped"] = "error"
    width: int | None = None
    color: bool | None = None
    encoding: str = "utf-8"

    def fit_to(self, stream: TextIO) -> "ReportOptions":
        """The same choices, with all that was left open taken from the stream and the environment."""
        return msgspec.structs.replace(
            self,
            width=shutil.get_terminal_size().columns if self.width is None else self.width,
            color=_wants_color(stream) if self.color is None else self.color,
            encoding=stream.encoding or "utf-8",
        )


def _wants_color(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
