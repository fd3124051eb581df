"""`dynocheck checks` and `dynocheck explain`: lists checks and explains one."""

import shutil

import click
import msgspec

from dynocheck.commands._config import resolve_config
from dynocheck.core.declarations import Check
from dynocheck.core.options import CommonOptions
from dynocheck.core.registry import select


def list_checks(options: CommonOptions, output: str) -> int:
    """Print the checks as a table, or as a JSON list of {id, title, area}."""
    checks = resolve_config(options).select_checks(options, all_requested=True)
    if output == "json":
        rows = [{"id": check.id, "title": check.title, "area": check.area} for check in checks]
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        return 0
    width = max((len(check.id) for check in checks), default=0)
    for check in checks:
        click.echo(f"{check.id:<{width}}  {check.title}{' (with --select)' if check.on_request else ''}")
    return 0


def explain(options: CommonOptions, pattern: str) -> int:
    """Print the page of one check, or of several their titles and fixes.

    :param pattern: an id, an area or a glob.
    :raises UsageError: no check matches.
    """
    registry = resolve_config(options).registry
    if pattern in registry.by_id:
        matching: tuple[Check, ...] = (registry.by_id[pattern],)
    else:
        matching = select(registry.checks, (pattern,), ())
    if len(matching) == 1:
        click.echo(format_page(matching[0]))
    else:
        click.echo("\n\n".join(map(_format_summary, matching)))
        click.echo("\nWhy it matters: dynocheck explain ID")
    return 0


def _format_summary(check: Check) -> str:
    """The id, the title and the fix of a check."""
    _, _, fix = check.documentation.partition("\nFix: ")
    lines = [check.id, check.title, *([f"Fix: {fix}"] if fix else [])]
    return "\n    ".join("\n".join(lines).splitlines())


def format_page(check: Check) -> str:
    """The page of a check: its title, why it matters, how to fix it, and the facts that it takes."""
    needs = ", ".join(
        f"{need.fact.__name__}{' (where there is one)' if need.optional else ''}" for need in check.needs
    )
    width = min(shutil.get_terminal_size().columns, 100)
    lines = [check.id, "=" * min(len(check.id), width), check.title, ""]
    lines += [check.documentation, ""] if check.documentation else []
    lines.append(f"Looks at: {needs}")
    if check.on_request:
        lines.append(f"Runs on request: --select {check.id}")
    if check.aliases:
        lines.append(f"Formerly: {', '.join(check.aliases)}")
    return "\n".join(lines)
