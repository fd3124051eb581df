"""`dynocheck snapshot`: record what can be seen of a cluster, to be judged elsewhere or later."""

from pathlib import Path

import click

from dynocheck.commands._pipeline import INTERRUPTED, collect_sources, describe_target, run_probes
from dynocheck.commands._settings import CommonOptions, RunSettings
from dynocheck.core import runner, snapshot
from dynocheck.core.errors import UsageError
from dynocheck.facts import Fact, Recipes, Settings
from dynocheck.reports import progress
from dynocheck.reports._text import sanitize


def run(choices: CommonOptions, file: str, recipes: tuple[str, ...]) -> int:
    """Write the recording to a file, or to standard output where it is `-`.

    :return: 0, or 3 when a fact could not be had; the recording then says why.
    :raises UsageError: the file cannot be written.
    """
    setting = RunSettings.resolve(choices)
    sources = collect_sources(choices, recipes, cluster=True)
    checks = setting.select_checks(choices)
    # A recording without recipes holds what any recipe may be judged by later.
    known: set[type[Fact]] = {Settings} if recipes else {Settings, Recipes}
    plan = runner.plan(checks, setting.registry.probes, sources, known)
    with progress.show_progress() as show:
        seen = run_probes(plan, sources, choices.timeout_s, show)
    content = snapshot.encode(seen, describe_target(sources))
    if file == "-":
        click.echo(content, nl=False)
    else:
        try:
            Path(file).write_bytes(content)
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}") from None
    for kind, missing in seen.missing.items():
        click.echo(f"not recorded: {kind.__name__}: {sanitize(missing.reason)}", err=True)
    if seen.interrupted:
        return INTERRUPTED
    return 3 if seen.missing else 0
