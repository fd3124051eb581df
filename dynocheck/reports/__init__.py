"""Report formats, one module each, imported on first use.

A format is a module with `render(report, options) -> str` and an entry in `_MODULES`.
"""

import sys
from importlib import import_module
from pathlib import Path

import click

from dynocheck.core.outcomes import Report
from dynocheck.reports._text import escape_to_hex, make_inert
from dynocheck.reports.options import ReportOptions

__all__ = ["FORMATS", "ReportOptions", "render_report", "write"]

_MODULES = {
    "table": "table",
    "json": "as_json",
    "junit": "junit",
    "sarif": "sarif",
    "github": "github",
    "html": "html",
    "markdown": "markdown",
}

FORMATS: tuple[str, ...] = tuple(_MODULES)

_DEFAULTS = ReportOptions()


def _escape_as_json(char: str) -> str:
    return f"\\u{ord(char):04x}"


def _escape_as_entity(char: str) -> str:
    return f"&#{ord(char)};"


_ESCAPES = {
    "table": escape_to_hex,
    "github": escape_to_hex,
    "json": _escape_as_json,
    "sarif": _escape_as_json,
}


def render_report(report: Report, format: str, options: ReportOptions = _DEFAULTS) -> str:  # noqa: A002
    """The report in one of FORMATS, ending in a newline. On a CI runner's log, nothing in it is a command.

    :raises KeyError: the format is unknown.
    """
    module = import_module(f"{__name__}.{_MODULES[format]}")
    text: str = module.render(report, options)
    return make_inert(text, _ESCAPES.get(format, _escape_as_entity), lines=format != "github")


def write(
    report: Report,
    format: str,  # noqa: A002
    path: Path | None = None,
    options: ReportOptions = _DEFAULTS,
) -> None:
    """Write the report to a file, or to standard output without one.

    A table on standard output takes the width, colours and encoding of the terminal; all else is UTF-8.

    :raises OSError: it cannot be written.
    :raises KeyError: the format is unknown.
    """
    if path is not None:
        path.write_text(render_report(report, format, options), encoding="utf-8", newline="\n")
    elif format == "table":
        options = options.fit_to(sys.stdout)
        click.echo(render_report(report, format, options), nl=False, color=options.color)
    else:
        _echo_utf8(render_report(report, format, options))


def _echo_utf8(text: str) -> None:
    if hasattr(sys.stdout, "buffer"):
        click.echo(text.encode(), nl=False)
    else:  # standard output is replaced by a text-only stream, as in a notebook
        click.echo(text, nl=False)
