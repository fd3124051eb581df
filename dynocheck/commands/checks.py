"""`dynocheck checks` and `dynocheck explain`: lists checks and explains one."""

import difflib
import shutil

import click
import msgspec

from dynocheck.core.declarations import Check
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.core.run_config import RunConfig


def list_checks(options: CommonOptions, output: str) -> int:
    """Print the checks as a table, or as a JSON list of {id, title, area}."""
    checks = RunConfig.resolve(options).select_checks(options)
    if output == "json":
        rows = [{"id": check.id, "title": check.title, "area": check.area} for check in checks]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        return 0
    width = max((len(check.id) for check in checks), default=0)
    for check in checks:
        click.echo(f"{check.id:<{width}}  {check.title}")
    return 0


def explain(options: CommonOptions, id: str) -> int:  # noqa: A002  (the user's word)
    """Print the page of one check.

    :raises UsageError: there is no such check.
    """
    by_id = RunConfig.resolve(options).registry.by_id
    if id not in by_id:
        close = difflib.get_close_matches(id, by_id, n=1)
        hint = f"did you mean {close[0]}?" if close else "run `dynocheck checks` for the list"
        raise UsageError(f"no check {id!r}; {hint}")
    click.echo(format_page(by_id[id]))
    return 0


def format_page(check: Check) -> str:
    """The page of a check: its title, why it matters, how to fix it, and the facts that it takes."""
    needs = ", ".join(
        f"{need.fact.__name__}{' (where there is one)' if need.optional else ''}" for need in check.needs
    )
    width = min(shutil.get_terminal_size().columns, 100)
    lines = [check.id, "=" * min(len(check.id), width), check.title, ""]
    lines += [check.documentation, ""] if check.documentation else []
    lines.append(f"Looks at: {needs}")
    if check.aliases:
        lines.append(f"Formerly: {', '.join(check.aliases)}")
    return "\n".join(lines)
