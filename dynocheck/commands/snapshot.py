"""`dynocheck snapshot`: records the facts of a cluster, to be evaluated elsewhere or later."""

from pathlib import Path

import click

from dynocheck.commands._config import resolve_config
from dynocheck.commands._run import (
    collect_hub_access,
    collect_sources,
    describe_target,
    run_probes,
)
from dynocheck.commands.node import this_machine
from dynocheck.core import snapshot
from dynocheck.core.cancellation import INTERRUPTED
from dynocheck.core.errors import UsageError
from dynocheck.core.options import CommonOptions
from dynocheck.core.planning import plan
from dynocheck.facts import Fact, NodeFact, NodeRequest, NodeRoot, Recipes, Settings
from dynocheck.reports import progress
from dynocheck.reports._text import sanitize


def run(
    options: CommonOptions, file: str, recipes: tuple[str, ...], *, hub: bool = False, node: bool = False
) -> int:
    """Write the snapshot to a file, or to standard output for `-`.

    :param hub: ask the Hugging Face hub for the models of the recipes.
    :param node: record this machine instead of a cluster.
    :return: 0, or 3 when a fact is missing; the snapshot holds the reason.
    :raises UsageError: the file cannot be written, or --node has recipes.
    """
    config = resolve_config(options, recipes)
    if node and recipes:
        raise UsageError("--recipe: not with --node")
    sources = {NodeRoot: this_machine()} if node else collect_sources(options, recipes, cluster=True)
    sources |= collect_hub_access(hub=hub) if recipes else {}
    checks = config.select_checks(options, NodeFact if node else None)
    # A snapshot without recipes holds the facts for any recipe.
    known: set[type[Fact]] = {Settings} if recipes or node else {Settings, Recipes}
    planned = plan(checks, config.registry.probes, sources, known | ({NodeRequest} if node else set()))
    with progress.show_progress() as show:
        knowledge = run_probes(planned, sources, options.timeout_s, show)
    content = snapshot.encode(knowledge, describe_target(sources))
    if file == "-":
        click.echo(content, nl=False)
    else:
        try:
            Path(file).write_bytes(content)
        except OSError as error:
            raise UsageError(f"{file}: {error.strerror}") from None
    for kind, missing in knowledge.missing.items():
        click.echo(f"not recorded: {kind.__name__}: {sanitize(missing.reason)}", err=True)
    if knowledge.interrupted:
        return INTERRUPTED
    return 3 if knowledge.missing else 0
