"""`dynocheck config`: prints the configuration that holds, and where each value comes from."""

import os

import click
import msgspec

from dynocheck.commands._config import resolve_config
from dynocheck.core.config import format_value
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.reports._text import sanitize


def run(options: CommonOptions, paths: tuple[str, ...], output: str) -> int:
    """Print the files, later ones of which win, and every value with its file, as text or as JSON.

    :param paths: what a run would judge.
    :raises UsageError: a file cannot be used.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"{path}: no such file or directory")
    config = resolve_config(options, paths)
    config.require_matches()
    described = config.files.describe()
    files, notes = described.get("config", []), described.get("config notes", [])
    settings = list(config.files.list_settings())
    if output == "json":
        rows = [
            {"key": each.key, "value": each.value, "file": each.file and str(each.file)} for each in settings
        ]
        document = msgspec.json.encode({"files": files, "notes": notes, "settings": rows})
        click.echo(msgspec.json.format(document, indent=2))
        return 0
    click.echo(f"# files, later ones win: {sanitize(', '.join(files)) or 'none'}")
    for note in notes:
        click.echo(f"# {sanitize(note)}")
    lines = [(sanitize(f"{each.key} = {format_value(each.value)}"), each.file) for each in settings]
    width = min(max(len(line) for line, _ in lines), 60)
    for line, file in lines:
        click.echo(f"{line:<{width}}  # {sanitize(str(file or 'default'))}")
    return 0
