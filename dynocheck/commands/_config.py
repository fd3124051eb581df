"""The configuration of the verbs that judge nothing."""

from collections.abc import Sequence

import click

from dynocheck.core.errors import PluginError
from dynocheck.core.options import CommonOptions
from dynocheck.core.run_config import RunConfig
from dynocheck.reports._text import sanitize


def resolve_config(options: CommonOptions, judged: Sequence[str] = ()) -> RunConfig:
    """Read the site's files and load every check and probe; say what of the plug-ins could not be loaded.

    :param judged: the paths that a run would judge.
    :raises UsageError: a file cannot be used.
    """
    config = RunConfig.resolve(options, judged)
    for check in config.select_broken(options):
        try:
            check()
        except PluginError as error:
            click.echo(f"warning: {sanitize(str(error))}", err=True)
    return config
