"""JSON in the format `dynocheck.report/v1`; its schema is `dynocheck/data/report.schema.json`."""

import json
import re
from typing import Any

import msgspec

from dynocheck.core.outcomes import Report
from dynocheck.reports._text import to_plain
from dynocheck.reports.options import ReportOptions

_DELETE = "\x7f"  # the one character of ASCII that is unprintable and no JSON escape
_BEYOND_ASCII = re.compile(r"[^\n -~]")


def render(report: Report, _: ReportOptions) -> str:
    """The report as JSON, indented by two.

    Unprintable characters are JSON escapes, and read back unchanged. A lone surrogate, which JSON cannot
    represent, becomes the text of its escape.
    """
    return dump_json(to_plain(report))


def dump_json(value: Any) -> str:
    """Data of the types that JSON has, escaped in the same way."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:  # a lone surrogate
        encoded = msgspec.json.encode(to_plain(value))
    text = msgspec.json.format(encoded, indent=2).decode()
    if not text.isascii() or _DELETE in text:  # a search in a long text is slow
        text = _BEYOND_ASCII.sub(_escape_char, text)
    return text + "\n"


def _escape_char(match: re.Match[str]) -> str:
    char = match[0]
    return char if char.isprintable() else json.dumps(char)[1:-1]
