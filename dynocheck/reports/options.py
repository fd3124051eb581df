"""The options of report formats."""

import os
import shutil
from collections.abc import Mapping
from typing import Literal, TextIO

import msgspec

Detail = Literal["quiet", "normal", "verbose"]


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of report formats; each format uses those that concern it.

    `strict`: warnings count as failures. `detail`: quiet for the verdict alone, verbose for every place and
    every check. `junit_unknown`: the JUnit element of an unknown check. `width`, `height` and `color`: None
    for those of the terminal, or 80 columns and 24 lines without colour. `encoding`: characters outside of it
    are shown as escapes.

    `root`: the folder from which formats for code hosts write paths; the working folder when it is empty.
    `places`: JUnit cases have the place of a finding. `documentation`: why each check matters and how to fix
    it, by id.
    """

    strict: bool = False
    detail: Detail = "normal"
    junit_unknown: Literal["error", "skipped"] = "error"
    width: int | None = None
    height: int | None = None
    color: bool | None = None
    encoding: str = "utf-8"
    root: str = ""
    places: bool = False
    documentation: Mapping[str, str] = {}

    def fit_to(self, stream: TextIO) -> "ReportOptions":
        """The same options, with None replaced by what the stream and the environment support."""
        columns, lines = shutil.get_terminal_size()
        return msgspec.structs.replace(
            self,
            width=columns if self.width is None else self.width,
            height=lines if self.height is None else self.height,
            color=_wants_color(stream) if self.color is None else self.color,
            encoding=stream.encoding or "utf-8",
        )


def _wants_color(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
