"""`dynocheck snapshot`: record what can be seen of a cluster, to be judged elsewhere or later."""

from pathlib import Path

import click

from dynocheck.commands._pipeline import INTERRUPTED, described, look, sources_of
from dynocheck.commands._settings import Choices, Setting
from dynocheck.core import runner, snapshot
from dynocheck.core.errors import UsageError
from dynocheck.facts import Fact, Recipes, Settings
from dynocheck.reports import progress
from dynocheck.reports._text import visible


def run(choices: Choices, file: str, recipes: tuple[str, ...]) -> int:
    """Write the recording to a file, or to standard output where it is `-`.

    :return: 0, or 3 when a fact could not be had; the recording then says why.
    :raises UsageError: the file cannot be written.
    """
    setting = Setting.of(choices)
    sources = sources_of(choices, recipes, cluster=True)
    checks = setting.checks(choices)
    # A recording without recipes holds what any recipe may be judged by later.
    known: set[type[Fact]] = {Settings} if recipes else {Settings, Recipes}
    plan = runner.plan(checks, setting.registry.probes, sources, known)
    with progress.live() as show:
        seen = look(plan, sources, choices.timeout_s, show)
    content = snapshot.encode(seen, described(sources))
    if file == "-":
        click.echo(content, nl=False)
    else:
        try:
            Path(file).write_bytes(content)
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}") from None
    for kind, missing in seen.missing.items():
        click.echo(f"not recorded: {kind.__name__}: {visible(missing.reason)}", err=True)
    if seen.interrupted:
        return INTERRUPTED
    return 3 if seen.missing else 0
