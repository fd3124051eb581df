"""JSON in the format `dynocheck.report/v1`; its schema is `dynocheck/data/report.schema.json`."""

import json
import re
from typing import Any

import msgspec

from dynocheck.core.outcomes import Report
from dynocheck.reports._text import to_plain
from dynocheck.reports.options import ReportOptions

_BEYOND_ASCII = re.compile(r"[^\n -~]")


def render(report: Report, _: ReportOptions) -> str:
    """The report as JSON, indented by two.

    Unprintable characters are JSON escapes, and read back unchanged. A lone surrogate, which JSON cannot
    represent, becomes the text of its escape.
    """
    return dump_json(report)


def dump_json(value: Any) -> str:
    """Any data as JSON, escaped in the same way."""
    encoded = msgspec.json.format(msgspec.json.encode(to_plain(value)), indent=2).decode()
    return _BEYOND_ASCII.sub(_escape_char, encoded) + "\n"


def _escape_char(match: re.Match[str]) -> str:
    char = match[0]
    return char if char.isprintable() else json.dumps(char)[1:-1]
